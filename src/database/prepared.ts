import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { ClientBase, QueryResultRow } from 'pg';
import { type DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { mayPrepare } from './data-source.js';

/** A connection keeps every statement that it prepares, until it ends. */
const MOST_STATEMENTS = 200;
/**
 * A plan is kept so long, ms. It is made for the size that the tables have then: on a few rows one index is as good as the
 * next, and on those that a rush adds to them it is not.
 */
export const PLANS_LAST_MS = 1_000;

const names = new Map<string, string>();
const plannedAt = new WeakMap<ClientBase, number>();

/**
 * Runs a statement as {@link ask} does, on a connection of the manager's transaction or else of the pool.
 * @throws QueryFailedError, as `manager.query` does
 */
export async function prepared<Row extends QueryResultRow>(
  manager: EntityManager,
  statement: string,
  parameters: unknown[],
): Promise<Row[]> {
  const runner = manager.queryRunner ?? manager.dataSource.createQueryRunner();
  try {
    const client = (await runner.connect()) as ClientBase;
    return await ask<Row>(client, manager.dataSource, statement, parameters).catch((error: unknown) => {
      throw new QueryFailedError(statement, parameters, error as Error);
    });
  } finally {
    if (runner !== manager.queryRunner) await runner.release();
  }
}

/**
 * Sends a statement that the connection parses once, and plans at most once a second, and gives its rows. Its text is one
 * of a few constants, and names its columns: after a migration `*` would be refused. It is run as it is behind a pooler,
 * whose connections are nobody's, and when 200 others are prepared.
 */
export async function ask<Row extends QueryResultRow>(
  client: ClientBase,
  { options }: DataSource,
  text: string,
  values: unknown[],
): Promise<Row[]> {
  const name = mayPrepare(options) ? nameOf(text) : null;
  if (name === null) return (await client.query<Row>(text, values)).rows;
  const now = performance.now();
  if (now - (plannedAt.get(client) ?? -Infinity) > PLANS_LAST_MS) {
    plannedAt.set(client, now);
    // Not waited for: what it may fail of, the statement behind it fails of, too.
    client.query('DISCARD PLANS').catch(() => undefined);
  }
  return (await client.query<Row>({ name, text, values })).rows;
}

/** The same in every process, so that whoever looks at the server's statements knows it again; null: there are too many. */
function nameOf(statement: string): string | null {
  const known = names.get(statement);
  if (known !== undefined) return known;
  if (names.size === MOST_STATEMENTS) return null;
  const name = `p${createHash('sha256').update(statement).digest('hex').slice(0, 20)}`;
  names.set(statement, name);
  return name;
}

import { migrations } from '#migrations';
import { DataSource, type EntityManager, MigrationExecutor } from 'typeorm';
import { HEARD } from './data-source.js';

/** Of the transaction that migrates, while it waits for its turn. */
const PATIENCE = 'SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0';

/**
 * The same, once it has its turn: a statement may take as long as it takes, but waiting for a table would make everybody
 * else wait behind it, and a process that froze must keep neither its locks nor its turn.
 */
const LIMITS = `SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '2s'`;

/** Any number that no other program takes for the same purpose in the same database. */
const MIGRATION_LOCK = 7_301_940_521;

export interface MigrationReport {
  /** The names of the migrations that were run, or taken back. */
  done: string[];
  /** Migrations in the database that this code does not know: a newer version has been here. */
  unknown: string[];
}

/**
 * Brings the schema up to what this code needs. Safe when many instances start together: they take turns.
 * @throws where a table is in use for longer than 2 s: nothing was changed, and it may be tried again
 */
export function runMigrations(url: string): Promise<MigrationReport> {
  return inTurn(url, async (session, executor) => {
    const unknown = await unknownMigrations(session);
    const done = await executor.executePendingMigrations();
    return { done: done.map(({ name }) => name), unknown };
  });
}

/** Takes back the newest migration. */
export function revertMigration(url: string): Promise<MigrationReport> {
  return inTurn(url, async (session, executor) => {
    const before = await executedMigrations(session);
    await executor.undoLastMigration();
    const after = new Set(await executedMigrations(session));
    return { done: before.filter((name) => !after.has(name)), unknown: [] };
  });
}

/** The names of the migrations that the database still lacks. */
export async function missingMigrations(dataSource: DataSource): Promise<string[]> {
  const executed = new Set(await executedMigrations(dataSource.manager));
  return migrations.map(({ name }) => name).filter((name) => !executed.has(name));
}

/**
 * All in one transaction: whatever ends it gives the turn to the next, behind a pooler, too, where a session is nobody's.
 */
async function inTurn<T>(
  url: string,
  work: (session: EntityManager, executor: MigrationExecutor) => Promise<T>,
): Promise<T> {
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    migrations,
    poolSize: 1,
    connectTimeoutMS: 5_000,
    logging: false,
    extra: { ...HEARD, keepAlive: true },
  });
  await dataSource.initialize();
  const session = dataSource.createQueryRunner();
  try {
    await session.startTransaction();
    await session.query(PATIENCE);
    await session.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await session.query(LIMITS);
    const executor = new MigrationExecutor(dataSource, session);
    executor.transaction = 'none';
    const result = await work(session.manager, executor);
    await session.commitTransaction();
    return result;
  } catch (error) {
    if (session.isTransactionActive) await session.rollbackTransaction().catch(() => undefined);
    throw error;
  } finally {
    await session.release();
    await dataSource.destroy();
  }
}

async function executedMigrations(manager: EntityManager): Promise<string[]> {
  const [table] = await manager.query<{ name: string | null }[]>(`SELECT to_regclass('migrations') AS name`);
  if (table === undefined || table.name === null) return [];
  const rows = await manager.query<{ name: string }[]>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}

async function unknownMigrations(session: EntityManager): Promise<string[]> {
  const known = new Set(migrations.map(({ name }) => name));
  return (await executedMigrations(session)).filter((name) => !known.has(name));
}

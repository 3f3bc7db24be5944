import type { DataSource } from 'typeorm';
import { auditRules, type Rule } from './rules.js';

type Row = Record<string, unknown>;

/** Runs one statement and resolves to its rows. */
export type Query = (sql: string) => Promise<Row[]>;

export interface AuditOptions {
  /** How long what is due may take to be done; 2 s by default. */
  graceSeconds?: number;
}

export interface Finding {
  rule: string;
  /** How many rows break the rule; 0: it holds. */
  total: number;
  /** The first of them, at most {@link MAX_SHOWN}. */
  offending: Row[];
}

export const DEFAULT_GRACE_SECONDS = 2;
export const MAX_SHOWN = 20;

/**
 * Checks every rule, in order; it only reads. While others write, `query` must read one snapshot for all its statements, or
 * what changes in between would look broken: see {@link inSnapshot}.
 */
export async function auditDatabase(query: Query, options: AuditOptions = {}): Promise<Finding[]> {
  const { graceSeconds = DEFAULT_GRACE_SECONDS } = options;
  const [clock] = await query('SELECT clock_timestamp()::text AS at');
  const findings: Finding[] = [];
  for (const rule of auditRules({ at: `'${String(clock?.at)}'`, graceSeconds }))
    findings.push(await check(query, rule));
  return findings;
}

async function check(query: Query, { name, sql }: Rule): Promise<Finding> {
  const rows = await query(`SELECT count(*) OVER () AS "#total", found.* FROM (${sql}) found LIMIT ${MAX_SHOWN}`);
  const offending = rows.map(({ '#total': _, ...row }) => row);
  return { rule: name, total: Number(rows[0]?.['#total'] ?? 0), offending };
}

/** Lets `work` read the database as it is at one moment, without locking anything that a service uses. */
export async function inSnapshot<T>(dataSource: DataSource, work: (query: Query) => Promise<T>): Promise<T> {
  const runner = dataSource.createQueryRunner();
  const query: Query = async (sql) => (await runner.query(sql)) as Row[];
  try {
    await query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // Of a million bookings a rule takes seconds: more than a request may, and more memory than a request needs.
    await query('SET LOCAL statement_timeout = 0');
    await query(`SET LOCAL work_mem = '64MB'`);
    // Each statement runs once: compiling it costs more than it brings.
    await query('SET LOCAL jit = off');
    return await work(query);
  } finally {
    await query('ROLLBACK').catch(() => undefined);
    await runner.release();
  }
}

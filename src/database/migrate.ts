import { migrations } from '#migrations';
import { DataSource } from 'typeorm';

/** Any number that no other program takes for the same purpose in the same database. */
const MIGRATION_LOCK = 7_301_940_521;

export interface MigrationReport {
  /** The names of the migrations that were run, or taken back. */
  done: string[];
  /** Migrations in the database that this code does not know: a newer version has been here. */
  unknown: string[];
}

/**
 * Brings the schema up to what this code needs. Safe when many instances start together: they take turns, on a
 * connection of their own where no `lock_timeout` ends the wait.
 */
export function runMigrations(url: string): Promise<MigrationReport> {
  return withLock(url, async (dataSource) => {
    const unknown = await unknownMigrations(dataSource);
    const done = await dataSource.runMigrations({ transaction: 'each' });
    return { done: done.map(({ name }) => name), unknown };
  });
}

/** Takes back the newest migration. */
export function revertMigration(url: string): Promise<MigrationReport> {
  return withLock(url, async (dataSource) => {
    const before = await executedMigrations(dataSource);
    await dataSource.undoLastMigration({ transaction: 'each' });
    const after = new Set(await executedMigrations(dataSource));
    return { done: before.filter((name) => !after.has(name)), unknown: [] };
  });
}

/** The names of the migrations that the database still lacks. */
export async function missingMigrations(dataSource: DataSource): Promise<string[]> {
  const executed = new Set(await executedMigrations(dataSource));
  return migrations.map(({ name }) => name).filter((name) => !executed.has(name));
}

async function withLock<T>(url: string, work: (dataSource: DataSource) => Promise<T>): Promise<T> {
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    migrations,
    poolSize: 2,
    connectTimeoutMS: 5_000,
    logging: false,
  });
  await dataSource.initialize();
  const lock = dataSource.createQueryRunner();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return await work(dataSource);
  } finally {
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
    await lock.release();
    await dataSource.destroy();
  }
}

async function executedMigrations(dataSource: DataSource): Promise<string[]> {
  const [table] = await dataSource.query<{ name: string | null }[]>(`SELECT to_regclass('migrations') AS name`);
  if (table === undefined || table.name === null) return [];
  const rows = await dataSource.query<{ name: string }[]>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}

async function unknownMigrations(dataSource: DataSource): Promise<string[]> {
  const known = new Set(migrations.map(({ name }) => name));
  return (await executedMigrations(dataSource)).filter((name) => !known.has(name));
}

import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import type { Environment } from '../config/environment.js';
import { databaseAddress, dataSourceOptions } from '../database/data-source.js';
import { EmbeddedPostgresError, findEmbeddedDatabase, startEmbeddedPostgres } from '../database/embedded-postgres.js';
import { isDatabaseAway, isTransient, sqlState } from '../database/failures.js';
import { missingMigrations, runMigrations } from '../database/migrate.js';
import { CannotRun } from './client-program.js';

/** How long a database that is away is waited for. */
const PATIENCE_MS = 3_000;
/** How long one that another process is starting is waited for: the first start takes seconds. */
const JOIN_PATIENCE_MS = 15_000;
const RETRY_MS = 200;

export interface LocatedDatabase {
  url: string;
  /** `own`: this process started it; `joined`: it is the embedded one of a service that runs. */
  origin: 'DATABASE_URL' | 'own' | 'joined';
  /** Stops it where this process started it. */
  close(): Promise<void>;
}

/**
 * Where the database of a command is: `DATABASE_URL`; without it the embedded one in `.data/`, that of a running service or
 * one that is started for this command and must be closed. A signal that ends the command stops it, too.
 * @throws CannotRun
 */
export async function locateDatabase(
  { database }: Pick<Environment, 'database'>,
  log: (message: string) => void,
): Promise<LocatedDatabase> {
  const close = (): Promise<void> => Promise.resolve();
  if (database.url !== null) return { url: database.url, origin: 'DATABASE_URL', close };
  const folder = resolve('.data');
  const giveUpAt = Date.now() + JOIN_PATIENCE_MS;
  for (;;) {
    const url = await findEmbeddedDatabase(folder);
    if (url !== null) return { url, origin: 'joined', close };
    try {
      const postgres = await startEmbeddedPostgres({ folder, log });
      return { url: postgres.url, origin: 'own', close: closeOnSignal(() => postgres.stop()) };
    } catch (error) {
      if (!(error instanceof EmbeddedPostgresError)) throw error;
      // A cause means that somebody else has the folder, and may be about to say where the database is.
      if (error.cause === undefined || Date.now() > giveUpAt) throw new CannotRun(error.message);
    }
    await pause(RETRY_MS);
  }
}

export interface OpenDatabase extends LocatedDatabase {
  dataSource: DataSource;
}

/**
 * A data source on the command's database, which is migrated where it is this process's own, or `migrate` says so.
 * @throws CannotRun with one sentence where it is away, refuses this user, or lacks a migration
 */
export async function openDatabase(
  { database }: Pick<Environment, 'database'>,
  options: { log: (message: string) => void; migrate: boolean },
): Promise<OpenDatabase> {
  const located = await locateDatabase({ database }, options.log);
  const { url, origin } = located;
  const dataSource = new DataSource(
    dataSourceOptions({ url, poolMax: 2, poolMinIdle: 0, pooler: database.pooler, isHurried: false }),
  );
  const close = async (): Promise<void> => {
    if (dataSource.isInitialized) await dataSource.destroy();
    await located.close();
  };
  try {
    await connect(dataSource);
    if (origin === 'own' || options.migrate) {
      const { done } = await runMigrations(url);
      if (done.length > 0) options.log(`migrated the database: ${done.join(', ')}`);
    }
    const missing = await missingMigrations(dataSource);
    if (missing.length > 0) {
      throw new CannotRun(
        `The database at ${databaseAddress(url)} lacks ${missing.join(', ')}: run \`npm run migration:run\` first.`,
      );
    }
    return { ...located, dataSource, close };
  } catch (error) {
    await close();
    throw toSentence(error, located);
  }
}

/** What a failure of the database means for whoever runs the command; any other error as it is. */
export function toSentence(error: unknown, { url, origin }: Pick<LocatedDatabase, 'url' | 'origin'>): unknown {
  const where = `The database at ${databaseAddress(url)}`;
  const reason = error instanceof Error && error.message !== '' ? error.message : 'no answer';
  if (isDatabaseAway(error)) {
    const advice = origin === 'DATABASE_URL' ? 'start it, or correct DATABASE_URL' : 'run the command again';
    return new CannotRun(`${where} cannot be reached (${reason}): ${advice}.`);
  }
  if (isTransient(error)) return new CannotRun(`${where} is in use (${reason}): run the command again.`);
  // The classes of a refused user, a database that does not exist, and a user who may not do this.
  if (/^(28|3D|42501)/.test(sqlState(error) ?? '')) {
    return new CannotRun(`${where} cannot be used (${reason}): correct DATABASE_URL.`);
  }
  return error;
}

async function connect(dataSource: DataSource): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await dataSource.initialize();
      return;
    } catch (error) {
      if (!isDatabaseAway(error) || Date.now() > giveUpAt) throw error;
    }
    await pause(RETRY_MS);
  }
}

/** The server is no child of this process, and would outlive it. */
function closeOnSignal(stop: () => Promise<void>): () => Promise<void> {
  const end = (): void => {
    void stop().finally(() => process.exit(130));
  };
  process.once('SIGINT', end).once('SIGTERM', end);
  return async () => {
    await stop();
    process.off('SIGINT', end).off('SIGTERM', end);
  };
}

import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { ClientBase, Pool } from 'pg';
import type { DataSource } from 'typeorm';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { databaseAddress, SERVER_LIMITS } from './data-source.js';
import { isDatabaseAway } from './failures.js';
import { missingMigrations, runMigrations } from './migrate.js';

const RETRY_MS = 1_000;

/** The way to the database: connects, migrates where that is asked for, and says whether both are done. */
@Injectable()
export class Database implements OnApplicationShutdown {
  private readonly logger = new Logger(Database.name);
  private migrated = false;
  private readonly stop = new AbortController();
  private announceReady: () => void = () => undefined;
  /** Resolves when the database is there and migrated for the first time. */
  readonly whenReady = new Promise<void>((resolve) => (this.announceReady = resolve));

  private announceTried: () => void = () => undefined;
  /** Resolves when the first try to connect and migrate has come to its end, well or not. */
  readonly whenTried = new Promise<void>((resolve) => (this.announceTried = resolve));

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @Inject(ENVIRONMENT) private readonly environment: Environment,
  ) {}

  /**
   * Tries as long as it takes until the database is there and migrated, or the application ends. Never rejects for an
   * absent database.
   * @returns whether it is there
   */
  async connect(): Promise<boolean> {
    const { url } = this.environment.database;
    if (url === null) throw new Error('The URL of the database is not known yet');
    let told = '';
    while (!this.stop.signal.aborted) {
      const trouble = await this.tryToConnect(url);
      this.announceTried();
      if (trouble === null) return true;
      // Said once, not every second.
      if (trouble !== told) this.logger.error(`${trouble}; trying again every second`);
      told = trouble;
      await pause(RETRY_MS, undefined, { signal: this.stop.signal }).catch(() => undefined);
    }
    return false;
  }

  /** Whether it has been there, with every migration that this code needs. It may be away at the moment. */
  get isOpen(): boolean {
    return this.migrated;
  }

  /** The connections of the pool: those in use, those at rest, and who waits for one. */
  get connections(): { inUse: number; idle: number; waiting: number } {
    const {
      totalCount = 0,
      idleCount = 0,
      waitingCount = 0,
    } = this.dataSource.isInitialized ? poolOf(this.dataSource) : {};
    return { inUse: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  /** True where the database answers and has every migration that this code needs. Bounded by the connection's limits. */
  async isReady(): Promise<boolean> {
    if (!this.migrated) return false;
    try {
      return (await missingMigrations(this.dataSource)).length === 0;
    } catch {
      return false;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.stop.abort();
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  private async tryToConnect(url: string): Promise<string | null> {
    try {
      if (this.environment.database.runMigrations) {
        const { done, unknown } = await runMigrations(url);
        if (done.length > 0) this.logger.log(`migrated the database: ${done.join(', ')}`);
        if (unknown.length > 0) {
          this.logger.warn(`the database is ahead of this version (${unknown.join(', ')}): serving it all the same`);
        }
      }
      if (!this.dataSource.isInitialized) {
        await this.dataSource.initialize();
        discardStuckConnections(this.dataSource);
      }
      if (this.environment.database.pooler !== 'none') {
        const unset = await findUnsetLimits(this.dataSource);
        if (unset.length > 0) {
          return `The pooler at ${databaseAddress(url)} sets no ${unset.join(', ')}: give it the connect_query of deploy/pgbouncer.ini`;
        }
      }
      const missing = await missingMigrations(this.dataSource);
      if (missing.length > 0) {
        return `The database at ${databaseAddress(url)} lacks ${missing.join(', ')}: run \`npm run migration:run\` or set RUN_MIGRATIONS=true`;
      }
      this.migrated = true;
      this.announceReady();
      return null;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const what = isDatabaseAway(error) ? 'cannot be reached' : 'cannot be used';
      return `The database at ${databaseAddress(url)} ${what} (${reason})`;
    }
  }
}

function poolOf(dataSource: DataSource): Pool {
  return (dataSource.driver as unknown as { master: Pool }).master;
}

/** The limits that a connection of the pooler lacks: without them one frozen instance could hold a conference for ever. */
async function findUnsetLimits(dataSource: DataSource): Promise<string[]> {
  const rows = await dataSource.query<{ name: string }[]>(
    `SELECT name FROM pg_settings WHERE name = ANY ($1) AND setting = '0' ORDER BY name`,
    [Object.keys(SERVER_LIMITS)],
  );
  return rows.map(({ name }) => name);
}

/**
 * Keeps a connection whose statement timed out on this side from being used again: whatever comes after would wait
 * behind an answer that may never come.
 */
function discardStuckConnections(dataSource: DataSource): void {
  poolOf(dataSource).on(
    'release',
    (_error, client: ClientBase & { _activeQuery?: unknown; end?: () => Promise<void> }) => {
      if (client._activeQuery !== null && client._activeQuery !== undefined) void client.end?.().catch(() => undefined);
    },
  );
}

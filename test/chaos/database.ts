import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Query } from '../../src/cli/audit/audit-database.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { eventually } from '../support/eventually.js';

const BACK_WITHIN_MS = 60_000;

/** A PostgreSQL that may be restarted and killed, and what it said and counted over all its lives. */
export class ChaosDatabase {
  private readonly log = new Set<string>();
  private deadlocksBefore = 0;

  private constructor(
    private readonly postgres: EmbeddedPostgres,
    private readonly dataFolder: string,
  ) {}

  static async start(folder: string, log: (message: string) => void): Promise<ChaosDatabase> {
    mkdirSync(folder, { recursive: true });
    // Where this runs as root, the server runs as another user, who must get through.
    chmodSync(folder, 0o711);
    const postgres = await startEmbeddedPostgres({
      folder: join(folder, 'data'),
      openFolder: join(folder, 'open'),
      log,
      // Processes are killed, not the machine. Errors are logged: a deadlock is one.
      settings: { fsync: 'off', log_min_messages: 'error', max_wal_size: '2GB' },
    });
    const client = await connect(postgres.url);
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
    await client.end();
    return new ChaosDatabase(postgres, rows[0]?.data_directory ?? '');
  }

  get url(): string {
    return this.postgres.url;
  }

  /** One statement on a connection of its own, past every proxy. */
  async query<T extends object>(sql: string, parameters: unknown[] = []): Promise<T[]> {
    const client = await connect(this.url);
    try {
      return (await client.query<T>(sql, parameters)).rows;
    } finally {
      await client.end();
    }
  }

  /** Lets `work` read the database as it is at one moment. */
  async inSnapshot<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const client = await connect(this.url);
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      return await work(async (sql) => (await client.query<Record<string, unknown>>(sql)).rows);
    } finally {
      await client.end();
    }
  }

  /** Ends every session of the service; resolves to how many there were. */
  async terminateSessions(): Promise<number> {
    const [row] = await this.query<{ count: number }>(
      `SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    return row?.count ?? 0;
  }

  /**
   * Restarts the server: after a shutdown that cuts all connections (SIGINT), or after `kill -9` with crash recovery.
   * @returns how long it was away, ms
   */
  async restart(signal: 'SIGINT' | 'SIGKILL'): Promise<number> {
    // A crash resets what the server counts, and its start moves its log aside.
    this.deadlocksBefore += await this.countDeadlocks();
    this.keepLog();
    const pid = Number.parseInt(readFileSync(join(this.dataFolder, 'postmaster.pid'), 'utf8'), 10);
    const startedAt = performance.now();
    process.kill(pid, signal);
    // Its owner in this process starts it again.
    await eventually(
      async () => {
        const now = Number.parseInt(readFileSync(join(this.dataFolder, 'postmaster.pid'), 'utf8'), 10);
        if (now === pid) throw new Error('The database has not ended yet');
        await this.query('SELECT');
      },
      { timeoutMs: BACK_WITHIN_MS, intervalMs: 20 },
    );
    this.keepLog();
    // A shutdown in good order keeps what was counted.
    if (signal === 'SIGINT') this.deadlocksBefore -= await this.countDeadlocks();
    return performance.now() - startedAt;
  }

  /** Deadlocks that the server has counted, and lines of its log that tell of one. */
  async findDeadlocks(): Promise<{ counted: number; told: string[] }> {
    this.keepLog();
    return {
      counted: this.deadlocksBefore + (await this.countDeadlocks()),
      told: [...this.log].filter((line) => line.includes('deadlock detected')),
    };
  }

  stop(): Promise<void> {
    return this.postgres.stop();
  }

  private async countDeadlocks(): Promise<number> {
    const [row] = await this.query<{ deadlocks: number }>(
      'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
    );
    return row?.deadlocks ?? 0;
  }

  /** Lines carry the time and the process, so equal ones are one. */
  private keepLog(): void {
    for (const name of ['booking.log.previous', 'booking.log']) {
      const path = join(this.dataFolder, name);
      if (existsSync(path)) for (const line of readFileSync(path, 'utf8').split('\n')) this.log.add(line);
    }
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 60_000 });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

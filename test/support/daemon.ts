import { spawn } from 'node:child_process';
import { chownSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program of somebody else's that runs for a test, in a folder of its own, and never as root. */
export interface Daemon {
  pid: number;
  folder: string;
  /** Everything it wrote so far, to standard output and standard error. */
  output(): string;
  hasEnded(): boolean;
  /** Ends it, SIGTERM unless told, waits for the end, and deletes its folder. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Whom to run as where the tests run as root: somebody with no rights at all. */
function findNobody(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith('nobody:'));
  const [, , uid, gid] = (line ?? '').split(':').map(Number);
  if (uid === undefined || gid === undefined) throw new Error('There is no user nobody to run the program as.');
  return { uid, gid };
}

/**
 * Starts a program with these files in its folder. `toArguments` is told the folder.
 *
 * It is killed when the test's process ends, whatever happens.
 */
export function startDaemon(
  program: string,
  files: Record<string, string>,
  toArguments: (folder: string) => string[],
): Daemon {
  const folder = mkdtempSync(join(tmpdir(), 'booking-daemon-'));
  const user = findNobody();
  const give = (path: string): void => {
    if (user) chownSync(path, user.uid, user.gid);
  };
  give(folder);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text);
    give(join(folder, name));
  }
  // Files and not pipes: a program that opens /dev/stdout by its name may not open a pipe that is another user's.
  const paths = { stdout: join(folder, 'stdout.log'), stderr: join(folder, 'stderr.log') };
  const open = (path: string): number => {
    const file = openSync(path, 'a');
    give(path);
    return file;
  };
  const [stdout, stderr] = [open(paths.stdout), open(paths.stderr)];
  const child = spawn(program, toArguments(folder), { cwd: folder, stdio: ['ignore', stdout, stderr], ...user });
  closeSync(stdout);
  closeSync(stderr);
  let trouble = '';
  child.on('error', (error) => (trouble = error.message));
  const ended = new Promise<void>((settle) => child.once('close', () => settle()));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    pid: child.pid ?? -1,
    folder,
    output: () => readFileSync(paths.stdout, 'utf8') + readFileSync(paths.stderr, 'utf8') + trouble,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    stop: async (signal = 'SIGTERM') => {
      process.off('exit', kill);
      child.kill(signal);
      await ended;
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

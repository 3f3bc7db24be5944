import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** A program of this folder in a process of its own, which ends with this one. Resolves when it says that it is ready. */
export async function startTypeScript(program: string, env: Record<string, string> = {}): Promise<ChildProcess> {
  const { PATH = '', HOME = '' } = process.env;
  const child = fork(join(ROOT, 'bench', program), {
    // Where `tsx` is found.
    cwd: ROOT,
    execArgv: ['--import', 'tsx'],
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // What came back of a whole run is more than JSON can be quick with.
    serialization: 'advanced',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`${program} ended instead of becoming ready`)));
  });
  return child;
}

export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findFreePort } from '../../src/database/postgres-server.js';
import { eventually } from './eventually.js';

const ROOT = resolve(__dirname, '../..');
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

export interface ProcessOptions {
  /** The working folder, which the process also looks for `.env` and `.data` in; unless told, a new empty one. */
  cwd?: string;
}

export interface ServiceOptions extends ProcessOptions {
  /** What to wait for: that it answers at all, that it is ready, or nothing; `live` unless told. */
  until?: 'live' | 'ready' | 'started';
}

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  pid: number;
  /** Everything it wrote so far, to both its outputs. */
  output(): string;
  /** Settles when it ends, for whatever reason. */
  exited: Promise<Exit>;
  /** Sends a signal, SIGTERM unless told, and waits for the end. Errors: after 30 s, when it is killed instead. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

export interface Service extends RunningProcess {
  /** `http://127.0.0.1:PORT` */
  url: string;
}

const running = new Map<ChildProcess, string>();
const folders: string[] = [];

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'booking-process-'));
  // Where the tests run as root, an embedded PostgreSQL runs as another user, who must get through to its data.
  chmodSync(folder, 0o711);
  folders.push(folder);
  return folder;
}

/** With TEST_POOLER=true every service reaches the tests' PostgreSQL by way of PgBouncer, unless it is to migrate. */
function throughPooler(env: Record<string, string>): Record<string, string> {
  const { TEST_POOLER_URL, TEST_DATABASE_URL = '' } = process.env;
  if (TEST_POOLER_URL === undefined || env.DATABASE_URL === undefined || 'RUN_MIGRATIONS' in env) return env;
  const url = new URL(env.DATABASE_URL);
  if (url.host !== new URL(TEST_DATABASE_URL).host) return env;
  url.host = new URL(TEST_POOLER_URL).host;
  return { ...env, DATABASE_URL: url.href, DB_POOLER: 'transaction' };
}

/**
 * Starts `dist/ENTRY.js` in node with this environment and nothing else: what happens to be set on the machine, above all
 * a DATABASE_URL, is not for tests.
 */
export function startProcess(
  entry: string,
  args: string[],
  env: Record<string, string> = {},
  { cwd = createFolder() }: ProcessOptions = {},
): RunningProcess {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [join(ROOT, 'dist', `${entry}.js`), ...args], {
    cwd,
    env: { PATH, HOME, ...(entry === 'main' ? throughPooler(env) : env) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const label = `${entry} ${args.join(' ')}`.trim();
  running.set(child, label);
  const exited = new Promise<Exit>((settle) => {
    child.on('error', (error) => {
      output += error.message;
      running.delete(child);
      settle({ code: null, signal: null });
    });
    child.on('exit', () => running.delete(child));
    // Later than `exit`: only now all output is there.
    child.on('close', (code, signal) => settle({ code, signal }));
  });
  return {
    pid: child.pid ?? -1,
    output: () => output,
    exited,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const startedAt = Date.now();
      const exit = await exited;
      clearTimeout(timer);
      if (Date.now() - startedAt >= STOP_TIMEOUT_MS) {
        throw new Error(`${label} did not end within ${STOP_TIMEOUT_MS} ms of ${signal}:\n${output}`);
      }
      return exit;
    },
  };
}

/**
 * Starts the service, `dist/main.js`, on a free port and waits until it answers.
 *
 * Stop it in the test, or in the `afterAll` of a `describe`: hooks at the top of a file run after the one that looks for
 * leaked processes. Errors: it ended, or did not answer within 60 s; with its output.
 */
export async function startService(
  env: Record<string, string> = {},
  { until = 'live', ...options }: ServiceOptions = {},
): Promise<Service> {
  const port = env.PORT ?? String(await findFreePort());
  const url = `http://127.0.0.1:${port}`;
  const started = startProcess('main', [], { ...env, PORT: port }, options);
  const service: Service = { ...started, url };
  if (until === 'started') return service;
  let exit: Exit | undefined;
  void started.exited.then((how) => (exit = how));
  try {
    await eventually(
      async () => {
        if (exit) return;
        const response = await fetch(`${url}/health/${until}`, { signal: AbortSignal.timeout(2_000) });
        await response.arrayBuffer();
        if (!response.ok) throw new Error(`GET /health/${until}: ${response.status}`);
      },
      // A start takes a second of one core: what asks more often slows it down.
      { timeoutMs: START_TIMEOUT_MS, intervalMs: 50 },
    );
    if (exit) throw new Error(`The service ended at once: ${JSON.stringify(exit)}`);
    return service;
  } catch (error) {
    await started.stop('SIGKILL');
    throw new Error(`${(error as Error).message}\n${started.output()}`, { cause: error });
  }
}

/** Runs a command, `dist/ENTRY.js`, to its end. */
export async function runCommand(
  entry: string,
  args: string[],
  env: Record<string, string> = {},
  options: ProcessOptions = {},
): Promise<Exit & { output: string }> {
  const command = startProcess(entry, args, env, options);
  return { ...(await command.exited), output: command.output() };
}

afterAll(async () => {
  const leaked = [...running];
  for (const [child] of leaked) {
    const ended = new Promise((settle) => child.once('exit', settle));
    child.kill('SIGKILL');
    await ended;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  if (leaked.length > 0) {
    const labels = leaked.map(([child, label]) => `${label} (process ${child.pid ?? -1})`).join(', ');
    throw new Error(`This file left running: ${labels}. Stop them in the test or in the afterAll of a describe.`);
  }
});

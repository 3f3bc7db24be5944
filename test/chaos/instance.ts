import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { findFreePort } from '../../src/database/postgres-server.js';
import { eventually } from '../support/eventually.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import type { InstanceName } from './plan.js';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const READY_WITHIN_MS = 90_000;
const OUTPUT_KEPT = 200_000;

export interface Surroundings {
  databaseUrl: string;
  brokerUrl: string;
  /** Its working folder. */
  folder: string;
  /** What it is told besides. */
  env: Record<string, string>;
}

/** One process of the service, with a proxy of its own to each of the database and the broker. */
export class Instance {
  private child: ChildProcess | null = null;
  private ended: Promise<void> = Promise.resolve();
  private isToldToEnd = false;
  /** Each time that it ended without having been told to: how. */
  readonly ownEnds: string[] = [];
  private text = '';

  private constructor(
    readonly name: InstanceName,
    readonly url: URL,
    readonly toDatabase: Proxy,
    readonly toBroker: Proxy,
    private readonly folder: string,
    private readonly env: Record<string, string>,
  ) {}

  static async create(name: InstanceName, { databaseUrl, brokerUrl, folder, env }: Surroundings): Promise<Instance> {
    const port = await findFreePort();
    const [toDatabase, toBroker] = [await startProxy(new URL(databaseUrl)), await startProxy(new URL(brokerUrl))];
    return new Instance(name, new URL(`http://127.0.0.1:${port}`), toDatabase, toBroker, folder, {
      PORT: String(port),
      DATABASE_URL: through(toDatabase, databaseUrl),
      RABBITMQ_URL: through(toBroker, brokerUrl),
      ...env,
    });
  }

  /** What it wrote last, over all its lives. */
  get output(): string {
    return this.text;
  }

  get isRunning(): boolean {
    return this.child !== null;
  }

  start(): void {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [MAIN], {
      // Where no `.env` lies.
      cwd: this.folder,
      env: { PATH, HOME, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    this.isToldToEnd = false;
    const collect = (chunk: Buffer): void => {
      this.text = (this.text + chunk.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (!this.isToldToEnd) this.ownEnds.push(`it ended by itself, ${signal ?? `with exit code ${code ?? ''}`}`);
        this.child = null;
        resolve();
      });
    });
  }

  /** Resolves when it is ready; with `broker`, when it also has its connections to the broker. */
  async whenReady({ broker = false } = {}): Promise<void> {
    await eventually(
      async () => {
        if (!this.isRunning) return;
        const response = await fetch(new URL('/health/ready', this.url), { signal: AbortSignal.timeout(5_000) });
        const body = (await response.json()) as { broker?: string };
        if (!response.ok || (broker && body.broker !== 'up')) {
          throw new Error(`${this.name} is not ready: ${response.status} ${JSON.stringify(body)}`);
        }
      },
      { timeoutMs: READY_WITHIN_MS, intervalMs: 50 },
    );
    if (!this.isRunning) throw new Error(`${this.name} ended instead of becoming ready:\n${this.output}`);
  }

  /** Sends a signal that ends it, and waits for the end. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.isToldToEnd = true;
    this.child?.kill(signal);
    await this.ended;
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  /** Ends it, whatever it is doing, and its proxies. */
  async close(): Promise<void> {
    await this.end('SIGKILL');
    await this.toDatabase.close();
    await this.toBroker.close();
  }

  /** For the end of this process, where nothing can be awaited. */
  killNow(): void {
    this.child?.kill('SIGKILL');
  }
}

function through({ port }: Proxy, target: string): string {
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return url.href;
}

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { ApiClient } from '../../src/cli/api-client.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { eventually } from '../support/eventually.js';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const READY_WITHIN_MS = 60_000;
const END_WITHIN_MS = 30_000;
const OUTPUT_KEPT = 4_000;

/** One process of the service, in every role. */
export class Instance {
  readonly api: ApiClient;
  readonly port: number;
  private output = '';
  private readonly ended: Promise<void>;

  private constructor(
    private readonly child: ChildProcess,
    url: URL,
  ) {
    this.api = new ApiClient(url);
    this.port = Number(url.port);
    const collect = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    this.ended = new Promise((resolve) => child.once('exit', () => resolve()));
  }

  /** @param folder its working folder, where no `.env` lies */
  static async launch(folder: string, env: Record<string, string>): Promise<Instance> {
    const port = await findFreePort();
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [MAIN], {
      cwd: folder,
      env: { PATH, HOME, PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Instance(child, new URL(`http://127.0.0.1:${port}`));
  }

  /** Resolves when it is ready and says this of the broker. Errors: what it wrote last, when it ended, or after 60 s. */
  async whenReady(broker: 'up' | 'down' | 'none'): Promise<void> {
    await eventually(
      async () => {
        if (this.hasEnded) return;
        const { status, body } = await this.api.send('GET', '/health/ready');
        if (status !== 200 || (body as { broker: unknown }).broker !== broker) {
          throw new Error(`The service is not ready with its broker ${broker}: ${status} ${JSON.stringify(body)}`);
        }
      },
      { timeoutMs: READY_WITHIN_MS },
    );
    if (this.hasEnded) throw new Error(`The service has ended:\n${this.output}`);
  }

  /** Ends it as a supervisor does, and waits for the end; after 30 s it is killed. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const killer = setTimeout(() => this.killNow(), END_WITHIN_MS);
    if (!this.hasEnded) await this.ended;
    clearTimeout(killer);
    this.api.close();
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('The service was never started');
    return this.child.pid;
  }

  /** For the end of this process, where nothing can be awaited. */
  killNow(): void {
    this.child.kill('SIGKILL');
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
}

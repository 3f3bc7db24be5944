import type { ChildProcess } from 'node:child_process';
import { endProcess, startTypeScript } from '../typescript.js';
import type { Job, LoadResult } from './job.js';

/** The process that sends the requests: what measures has a core of its own as far as there is one. */
export class LoadGenerator {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<LoadGenerator> {
    return new LoadGenerator(await startTypeScript('load/main.ts'));
  }

  /** Runs one job; only one may be under way. Errors: a connection broke, or the process ended. */
  run(job: Job): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('The load generator ended'));
      this.child.once('exit', onExit);
      this.child.once('message', (message: { result: LoadResult } | { error: string }) => {
        this.child.off('exit', onExit);
        if ('result' in message) resolve(message.result);
        else reject(new Error(message.error));
      });
      this.child.send(job);
    });
  }

  stop(): Promise<void> {
    return endProcess(this.child);
  }
}

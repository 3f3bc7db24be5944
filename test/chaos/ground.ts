import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from '../support/broker.js';
import { ChaosDatabase } from './database.js';
import { Instance } from './instance.js';
import { API_INSTANCES, INSTANCES, type InstanceName, WORKER_INSTANCES } from './plan.js';
import { TimerQueues } from './timers.js';

export const WINDOW_MS = 1_000;
export const SWEEP_MS = 2_000;

const ENV = {
  CONFIRMATION_WINDOW_SECONDS: String(WINDOW_MS / 1_000),
  SWEEP_INTERVAL_SECONDS: String(SWEEP_MS / 1_000),
};

const ROLES: Record<'api' | 'worker', Record<string, string>> = {
  api: { ENABLE_QUEUE_CONSUMERS: 'false' },
  worker: { WORKER_ONLY: 'true' },
};

type Ending = () => unknown;

/** All that a run stands on, and breaks: a database, a broker and five instances, on loopback and of its own. */
export class Ground {
  private constructor(
    readonly database: ChaosDatabase,
    readonly broker: Broker,
    readonly timers: TimerQueues,
    readonly instances: ReadonlyMap<InstanceName, Instance>,
    private readonly endings: Ending[],
  ) {}

  static async open(log: (message: string) => void): Promise<Ground> {
    const endings: Ending[] = [];
    const folder = mkdtempSync(join(tmpdir(), 'booking-chaos-'));
    endings.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
    try {
      const [database, broker] = await Promise.allSettled([
        ChaosDatabase.start(folder, log).then((started) => {
          endings.push(() => started.stop());
          return started;
        }),
        startBroker().then((started) => {
          endings.push(() => started.stop());
          return started;
        }),
      ]);
      if (database.status === 'rejected') throw database.reason;
      if (broker.status === 'rejected') throw broker.reason;
      const instances = new Map<InstanceName, Instance>();
      const surroundings = { databaseUrl: database.value.url, brokerUrl: broker.value.url, folder };
      for (const name of INSTANCES) {
        const role = (API_INSTANCES as readonly string[]).includes(name) ? 'api' : 'worker';
        const instance = await Instance.create(name, { ...surroundings, env: { ...ENV, ...ROLES[role] } });
        endings.push(() => instance.close());
        process.once('exit', () => instance.killNow());
        instances.set(name, instance);
      }
      const timers = new TimerQueues(broker.value.url, ENV);
      return new Ground(database.value, broker.value, timers, instances, endings);
    } catch (error) {
      await endAll(endings);
      throw error;
    }
  }

  instance(name: InstanceName): Instance {
    const instance = this.instances.get(name);
    if (instance === undefined) throw new Error(`There is no instance ${name}`);
    return instance;
  }

  startInstances(): void {
    for (const instance of this.instances.values()) instance.start();
  }

  /** Resolves when every instance is there, has the database and the broker, and all workers consume timers. */
  async whenWhole(): Promise<void> {
    await Promise.all([...this.instances.values()].map((instance) => instance.whenReady({ broker: true })));
    await this.timers.whenConsumed(WORKER_INSTANCES.length);
  }

  async close(): Promise<void> {
    await endAll(this.endings);
  }
}

async function endAll(endings: Ending[]): Promise<void> {
  for (const ending of endings.splice(0).reverse()) await ending();
}

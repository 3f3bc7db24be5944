import { setTimeout as pause } from 'node:timers/promises';
import { type Answer, ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Gateway, startGateway } from '../support/gateway.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { Queues } from './support.js';

export const API_ONLY = { ENABLE_QUEUE_CONSUMERS: 'false' };
export const WORKER_ONLY = { WORKER_ONLY: 'true' };

const THINK_MS = 20;
/** Five processes and nginx are to be started, and ended. */
export const CLUSTER_TIMEOUT_MS = 180_000;

export interface ClusterOptions {
  windowSeconds: number;
  /** The broker; the one of all tests unless told. */
  brokerUrl?: string;
  /** What every instance is told besides. */
  env?: Record<string, string>;
}

/** Three API-only and two worker-only instances on one database and one broker, and nginx in front of them. */
export class Cluster {
  private constructor(
    readonly database: TestDatabase,
    readonly backstage: Backstage,
    readonly queues: Queues,
    private readonly env: Record<string, string>,
    readonly apis: Service[],
    readonly workers: Service[],
    readonly gateway: Gateway,
  ) {}

  static async start({ windowSeconds, brokerUrl, env = {} }: ClusterOptions): Promise<Cluster> {
    const database = await createTestDatabase();
    const backstage = await Backstage.open(database.url);
    const queues = await Queues.open(windowSeconds);
    const all: Record<string, string> = { DATABASE_URL: database.url, LOG_LEVEL: 'warn', ...queues.env, ...env };
    if (brokerUrl !== undefined) all.RABBITMQ_URL = brokerUrl;
    // One after the other: five at once, on a machine that is busy, are slower than a start may take.
    const start = async (role: Record<string, string>, count: number): Promise<Service[]> => {
      const started: Service[] = [];
      while (started.length < count) started.push(await startService({ ...all, ...role }, { until: 'ready' }));
      return started;
    };
    const apis = await start(API_ONLY, 3);
    const workers = await start(WORKER_ONLY, 2);
    await queues.whenConsumed(2);
    const gateway = await startGateway(apis.map(({ url }) => url));
    return new Cluster(database, backstage, queues, all, apis, workers, gateway);
  }

  /** Starts an instance that has ended once more, with the same address, and waits until it is ready. */
  async restart(instance: Service): Promise<Service> {
    const list = this.apis.includes(instance) ? this.apis : this.workers;
    const role = list === this.apis ? API_ONLY : WORKER_ONLY;
    const env = { ...this.env, ...role, PORT: new URL(instance.url).port };
    const again = await startService(env, { until: 'ready' });
    list[list.indexOf(instance)] = again;
    return again;
  }

  /** How many requests this instance has answered through the gateway so far. */
  countAnsweredBy({ url }: Pick<Service, 'url'>): number {
    const { host } = new URL(url);
    return this.gateway
      .requests()
      .filter(({ instance, instance_status }) => instance.endsWith(host) && /2\d\d$/.test(instance_status)).length;
  }

  /** Resolves when the gateway sends this instance requests, and it answers them. */
  async whenUsed(instance: Pick<Service, 'url'>): Promise<void> {
    const before = this.countAnsweredBy(instance);
    await eventually(() => expect(this.countAnsweredBy(instance)).toBeGreaterThan(before + 10), {
      timeoutMs: 30_000,
      intervalMs: 100,
    });
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    await Promise.all([...this.apis, ...this.workers].map((instance) => instance.stop()));
    await this.queues.close();
    await this.backstage.close();
    await this.database.drop();
  }
}

/** What a client got that books for one user after the other: an answer for each user. */
export interface Journal {
  bookings: Map<string, Answer>;
  looks: Answer[];
}

/** So many clients that book for one user each, and look up what they got, again and again until they are stopped. */
export class Load {
  readonly journal: Journal = { bookings: new Map(), looks: [] };
  private isStopped = false;
  private readonly running: Promise<void>[];
  private readonly api: ApiClient;

  constructor(
    url: string,
    conference: string,
    private readonly users: string[],
    clients: number,
  ) {
    this.api = new ApiClient(new URL(url), clients);
    this.running = Array.from({ length: clients }, () => this.bookOnAndOn(conference));
    // Told by `stop`. A test that fails before ends with the gateway, and this with it.
    for (const client of this.running) client.catch(() => undefined);
  }

  /** Resolves when so many more requests have been answered. */
  async progress(count: number): Promise<void> {
    const { bookings, looks } = this.journal;
    const target = bookings.size + looks.length + count;
    const hasCome = (): void => expect(bookings.size + looks.length).toBeGreaterThanOrEqual(target);
    await eventually(hasCome, { timeoutMs: 30_000 });
  }

  /** Ends it; every request that was begun has its answer. */
  async stop(): Promise<Journal> {
    this.isStopped = true;
    await Promise.all(this.running);
    this.api.close();
    return this.journal;
  }

  private async bookOnAndOn(conference: string): Promise<void> {
    while (!this.isStopped) {
      const user = this.users.pop();
      if (user === undefined) throw new Error('The load has booked for all its users: give it more');
      const { answer } = await this.api.book(user, conference);
      this.journal.bookings.set(user, answer);
      this.journal.looks.push(await this.api.send('GET', `/user/${user}/bookings`));
      // Room for an instance that starts beside the load.
      await pause(THINK_MS);
    }
  }
}

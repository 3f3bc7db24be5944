import { findFreePort } from '../../src/database/postgres-server.js';
import { startBroker } from '../support/broker.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { latenessOfMissed, latenessOfStarts, openOffers, Queues, visit } from './support.js';

const WINDOW_SECONDS = 1;
const DAY_MS = 86_400_000;

type World = ReturnType<typeof visit>;

/** One that may be killed. It takes 10 s to start: meanwhile the other tests run. */
let ownBroker: ReturnType<typeof startBroker>;

beforeAll(() => {
  ownBroker = startBroker();
  ownBroker.catch(() => undefined);
});

/** One service with a database of its own, a visitor, and a look behind the scenes. */
class House {
  private constructor(
    private readonly database: TestDatabase,
    readonly backstage: Backstage,
    readonly service: Service,
    readonly world: World,
  ) {}

  static async open(env: Record<string, string>): Promise<House> {
    const database = await createTestDatabase();
    const backstage = await Backstage.open(database.url);
    const service = await startService({ DATABASE_URL: database.url, ...env }, { until: 'ready' });
    return new House(database, backstage, service, visit(service));
  }

  async brokerState(): Promise<unknown> {
    const { status, body } = await this.world.api.send('GET', '/health/ready');
    expect(status).toBe(200);
    return (body as { broker: unknown }).broker;
  }

  /** When so many offers were missed in all: how late each of them was ended, ms, least first. */
  missed(count: number): Promise<number[]> {
    return eventually(async () => {
      const late = await latenessOfMissed(this.backstage, WINDOW_SECONDS);
      expect(late.length).toBeGreaterThanOrEqual(count);
      return late;
    });
  }

  async close(): Promise<void> {
    this.world.api.close();
    await this.service.stop();
    const broken = await this.backstage.brokenRules(2);
    await this.backstage.close();
    await this.database.drop();
    expect(broken).toEqual([]);
  }
}

/** So many offers, which go round, in conferences of four slots each. */
async function openManyOffers(world: World, count: number): Promise<void> {
  for (let made = 0; made < count; made += 4) await openOffers(world, 4);
}

describe('time is kept', () => {
  let queues: Queues;
  const houses: House[] = [];
  let figures: { late: number[]; lateStarts: number[] }[];

  // Side by side: they mostly wait.
  beforeAll(async () => {
    queues = await Queues.open(WINDOW_SECONDS);
    const down = `amqp://guest:guest@127.0.0.1:${await findFreePort()}`;
    const ways = [queues.env, { ...queues.env, RABBITMQ_URL: down }, { ...queues.env, RABBITMQ_URL: '' }];
    houses.push(...(await Promise.all(ways.map((env) => House.open(env)))));
    await queues.whenConsumed();
    figures = await Promise.all(houses.map((house) => measure(house)));
  });
  afterAll(async () => {
    for (const house of houses) await house.close();
    await queues.close();
  });

  async function measure(house: House): Promise<{ late: number[]; lateStarts: number[] }> {
    const { world, backstage } = house;
    const startMs = Date.now() + 3_000;
    await openOffers(world, 2, startMs);
    await openOffers(world, 3, startMs + 100);
    await openManyOffers(world, 20);
    const late = await house.missed(60);
    const lateStarts = await eventually(async () => {
      const all = await latenessOfStarts(backstage);
      expect(all).toHaveLength(2);
      return all;
    });
    return { late, lateStarts };
  }

  it.each([
    ['with a broker', 'up'],
    ['with a broker that is down', 'down'],
    ['without one', 'none'],
  ])('%s: offers expire within 0.5 s of their deadline, a start is dealt with within 1.5 s', async (_way, state) => {
    const index = ['up', 'down', 'none'].indexOf(state);
    expect(await houses[index]?.brokerState()).toBe(state);
    const { late, lateStarts } = figures[index] ?? { late: [], lateStarts: [] };
    expect(late.at(0)).toBeGreaterThanOrEqual(0);
    expect(late.at(-1)).toBeLessThan(500);
    expect(lateStarts.at(0)).toBeGreaterThanOrEqual(0);
    expect(lateStarts.at(-1)).toBeLessThan(1_500);
  });
});

describe('timers on the broker', () => {
  const SWEEP_SECONDS = 1;
  let queues: Queues;
  let house: House;

  beforeAll(async () => {
    queues = await Queues.open(WINDOW_SECONDS);
    house = await House.open({ ...queues.env, SWEEP_INTERVAL_SECONDS: String(SWEEP_SECONDS) });
    await queues.whenConsumed();
  });
  afterAll(async () => {
    await house.close();
    await queues.close();
  });

  it('of a far start delay no near one, and none of a conference that has started stays longer than a window', async () => {
    await house.world.conference({ startMs: Date.now() + 400 * DAY_MS });
    await eventually(async () => expect(await queues.countDelayed(DAY_MS)).toBe(1));
    const startMs = Date.now() + 1_500;
    await openOffers(house.world, 5, startMs);
    await eventually(async () => expect(await queues.countDelayed()).toBeGreaterThan(1));
    const [late] = await eventually(async () => {
      const all = await latenessOfStarts(house.backstage);
      expect(all).toHaveLength(1);
      return all;
    });
    expect(late).toBeLessThan(1_500);
    const timeoutMs = startMs + 1_000 * WINDOW_SECONDS - Date.now();
    await eventually(async () => expect([await queues.countDelayed(), await queues.countDue()]).toEqual([1, 0]), {
      timeoutMs,
    });
    expect(await queues.countDelayed(DAY_MS)).toBe(1);
  });

  it('that are lost are made up for by the sweep', async () => {
    const before = (await house.missed(0)).length;
    await openManyOffers(house.world, 20);
    await eventually(async () => expect(await queues.countDelayed(1_000 * WINDOW_SECONDS)).toBeGreaterThanOrEqual(5));
    expect(await queues.purgeDelayed()).toBeGreaterThanOrEqual(5);
    const late = await house.missed(before + 20);
    expect(late.at(-1)).toBeLessThan(1_000 * (SWEEP_SECONDS + 1));
  });
});

describe('a broker that is killed and comes back', () => {
  let broker: Awaited<ReturnType<typeof startBroker>>;
  let house: House;

  beforeAll(async () => {
    broker = await ownBroker;
    house = await House.open({ RABBITMQ_URL: broker.url, CONFIRMATION_WINDOW_SECONDS: String(WINDOW_SECONDS) });
  });
  afterAll(async () => {
    await house.close();
    await broker.stop();
  });

  it('is missed by nobody: bookings go on, and offers expire within 0.5 s all the time', async () => {
    const { world } = house;
    const expectState = (state: string): Promise<void> =>
      eventually(async () => expect(await house.brokerState()).toBe(state));
    const soFar = async (): Promise<number> => (await house.missed(0)).length;
    await expectState('up');
    await openManyOffers(world, 20);
    await house.missed(20);

    await broker.kill();
    await expectState('down');
    await openOffers(world, 2);
    await house.missed((await soFar()) + 40);

    await broker.restart();
    await expectState('up');
    await openOffers(world, 2);
    const late = await house.missed((await soFar()) + 40);
    expect(late.at(-1)).toBeLessThan(500);
  });
});

import type { INestApplication } from '@nestjs/common';
import type { Environment } from '../../src/config/environment.js';
import { TimerPublisher, type BrokerState } from '../../src/messaging/timer-publisher.js';
import { CONFIRMATION_EXPIRED, type Timer } from '../../src/messaging/timers.js';
import { startBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import {
  Backdoor,
  brokerEnvironment,
  Log,
  LookRecorder,
  Proxy,
  startMessaging,
  throughout,
  topologyOf,
} from './timers-support.js';

/** One that may be killed. It takes 10 s to start: meanwhile the other tests run. */
let ownBroker: ReturnType<typeof startBroker>;

beforeAll(() => {
  ownBroker = startBroker();
  ownBroker.catch(() => undefined);
});

const DAY_MS = 86_400_000;
const expiry = (conferenceId: number, dueAt: number): Timer => ({ pattern: CONFIRMATION_EXPIRED, conferenceId, dueAt });

describe('timers, when the broker', () => {
  const brokerUrl = process.env.TEST_RABBITMQ_URL ?? '';
  let backdoor: Backdoor;
  let proxy: Proxy;
  let environment: Environment;
  let boxOffice: LookRecorder;
  let log: Log;
  let app: INestApplication | null;

  beforeAll(async () => {
    backdoor = await Backdoor.open(brokerUrl);
  });
  afterAll(() => backdoor.close());

  beforeEach(async () => {
    proxy = await Proxy.to(brokerUrl);
    environment = brokerEnvironment(proxy.url);
    boxOffice = new LookRecorder();
    log = new Log();
    app = null;
  });
  afterEach(async () => {
    proxy.thaw();
    await app?.close();
    await proxy.close();
    await backdoor.deleteQueues(environment);
  });

  async function start(): Promise<{ publisher: TimerPublisher; states: BrokerState[] }> {
    app = await startMessaging(environment, boxOffice, log);
    const publisher = app.get(TimerPublisher);
    const states: BrokerState[] = [];
    publisher.onStateChange((state) => states.push(state));
    return { publisher, states };
  }

  async function startUp(): ReturnType<typeof start> {
    await proxy.open();
    const started = await start();
    await eventually(async () => {
      expect(started.publisher.state).toBe('up');
      expect((await backdoor.channel.checkQueue(topologyOf(environment).workQueue)).consumerCount).toBe(1);
    });
    return started;
  }

  it('is down at the start, are owed, and come when it is there, with the time that remains', async () => {
    const { publisher, states } = await start();
    expect(publisher.state).toBe('down');
    const now = Date.now();
    publisher.schedule([expiry(1, now), expiry(2, now + 3_500), expiry(3, now + 400 * DAY_MS)], now);
    expect(publisher.counts).toMatchObject({ owed: 3, inFlight: 0 });
    await eventually(() => expect(log.with('is away')).toHaveLength(2));

    // More than one try to connect fails before it is there.
    await throughout(1_500, () => expect(publisher.state).toBe('down'));
    await proxy.open();
    await eventually(() => expect(boxOffice.of(2).some(({ at }) => at >= now + 3_500)).toBe(true));
    expect(boxOffice.of(1).length).toBeGreaterThan(0);
    expect(boxOffice.of(2).at(-1)?.at).toBeLessThan(now + 3_650);
    expect(states).toEqual(['up']);
    expect(await backdoor.count(topologyOf(environment).queueFor(DAY_MS))).toBe(1);
    // The publisher and the consumer, once each, without user and password.
    expect(log.with('is away')).toHaveLength(2);
    expect(log.with('guest')).toEqual([]);
  });

  it('is cut off, are owed, and come when it is back; what was in hand comes again', async () => {
    const { publisher, states } = await startUp();
    let finish: () => void = () => undefined;
    boxOffice.meanwhile = async ({ conferenceId }) => {
      if (conferenceId === 1 && boxOffice.of(1).length === 1) await new Promise<void>((resolve) => (finish = resolve));
    };
    backdoor.sendTimer(topologyOf(environment).workQueue, expiry(1, Date.now() - 10));
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(1));
    await proxy.close();
    await eventually(() => expect(publisher.state).toBe('down'));
    const now = Date.now();
    publisher.schedule([expiry(2, now + 100)], now);
    await proxy.open();
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(2));
    // Acked on a channel that is gone: nothing happens.
    finish();
    await eventually(() => expect(boxOffice.of(2).some(({ at }) => at >= now + 100)).toBe(true));
    expect(states).toEqual(['up', 'down', 'up']);
    expect(log.with('the broker is back')).toHaveLength(2);
    expect(log.errors).toEqual([]);
    await app?.close();
    app = null;
    expect(await backdoor.count(topologyOf(environment).workQueue)).toBe(0);
  });

  it('freezes, are owed within 2 s, hold up nobody, and come when it goes on', async () => {
    const { publisher, states } = await startUp();
    proxy.freeze();
    const before = performance.now();
    const now = Date.now();
    publisher.schedule([expiry(1, now)], now);
    expect(performance.now() - before).toBeLessThan(50);
    await eventually(() => expect(publisher.state).toBe('down'));
    expect(performance.now() - before).toBeLessThan(2_500);
    publisher.schedule([expiry(2, now)], now);
    expect(publisher.counts).toMatchObject({ owed: 2, inFlight: 0 });

    proxy.thaw();
    await eventually(() => expect(publisher.state).toBe('up'));
    await eventually(() => expect(boxOffice.of(2)).toHaveLength(1));
    expect(boxOffice.of(1).length).toBeGreaterThan(0);
    expect(states).toEqual(['up', 'down', 'up']);
  });

  it('stays frozen, do not keep the application from closing', async () => {
    const { publisher } = await startUp();
    proxy.freeze();
    const now = Date.now();
    publisher.schedule([expiry(1, now)], now);
    await app?.close();
    app = null;
    // 1 s each for the consumer and the two connections, and 2 s for what is in flight.
    expect(Date.now() - now).toBeLessThan(6_000);
  });

  it('is away for long, are bounded: the oldest are dropped', async () => {
    const { publisher } = await start();
    const now = Date.now();
    publisher.schedule(
      Array.from({ length: 10_050 }, (_, id) => expiry(id + 1, now)),
      now,
    );
    expect(publisher.counts).toMatchObject({ owed: 10_000, dropped: 50 });
    await proxy.open();
    await eventually(() => expect(boxOffice.of(10_050)).toHaveLength(1), { timeoutMs: 20_000 });
    await eventually(() => expect(publisher.counts).toMatchObject({ owed: 0, inFlight: 0, published: 10_000 }));
    expect(boxOffice.of(50)).toEqual([]);
    expect(boxOffice.of(51)).toHaveLength(1);
  });
});

describe('timers, when the broker is killed', () => {
  it('come after its restart, those it had and those it was owed', async () => {
    const broker = await ownBroker;
    const boxOffice = new LookRecorder();
    const log = new Log();
    const app = await startMessaging(brokerEnvironment(broker.url), boxOffice, log);
    try {
      const publisher = app.get(TimerPublisher);
      await eventually(() => expect(publisher.state).toBe('up'));
      const now = Date.now();
      publisher.schedule([expiry(1, now + 1_000), expiry(2, now + 10_000)], now);
      await eventually(() => expect(publisher.counts.published).toBe(2));
      await broker.kill();
      await eventually(() => expect(publisher.state).toBe('down'));
      publisher.schedule([expiry(3, now + 1_500)], now);
      await broker.restart();
      await eventually(
        () => {
          for (const id of [1, 2, 3]) expect(boxOffice.of(id).length).toBeGreaterThan(0);
        },
        { timeoutMs: 30_000 },
      );
      expect(publisher.state).toBe('up');
      expect(log.with('is away')).toHaveLength(2);
    } finally {
      await app.close();
      await broker.stop();
    }
  });
});

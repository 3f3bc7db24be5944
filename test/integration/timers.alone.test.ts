import type { INestApplication } from '@nestjs/common';
import { AppError } from '../../src/common/app-error.js';
import type { Environment } from '../../src/config/environment.js';
import { TimerPublisher } from '../../src/messaging/timer-publisher.js';
import { CONFERENCE_STARTS, CONFIRMATION_EXPIRED, type Timer } from '../../src/messaging/timers.js';
import type { TimerTopology } from '../../src/messaging/topology.js';
import { eventually } from '../support/eventually.js';
import { Backdoor, LookRecorder, brokerEnvironment, Log, startMessaging, topologyOf } from './timers-support.js';

const DAY_MS = 86_400_000;

describe('timers', () => {
  const brokerUrl = process.env.TEST_RABBITMQ_URL ?? '';
  let backdoor: Backdoor;
  let environment: Environment;
  let topology: TimerTopology;
  let boxOffice: LookRecorder;
  let app: INestApplication | null;
  let log: Log;

  beforeAll(async () => {
    backdoor = await Backdoor.open(brokerUrl);
  });
  afterAll(() => backdoor.close());

  beforeEach(() => {
    log = new Log();
    environment = brokerEnvironment(brokerUrl);
    topology = topologyOf(environment);
    boxOffice = new LookRecorder();
    app = null;
  });
  afterEach(async () => {
    await app?.close();
    await backdoor.deleteQueues(environment);
  });

  async function start(): Promise<TimerPublisher> {
    app = await startMessaging(environment, boxOffice, log);
    const publisher = app.get(TimerPublisher);
    await eventually(async () => {
      expect(publisher.state).toBe('up');
      expect((await backdoor.channel.checkQueue(topology.workQueue)).consumerCount).toBe(1);
    });
    return publisher;
  }

  /** After the application is closed nothing is left unacked, so what counts is what is ready. */
  async function expectNothingLeft(): Promise<void> {
    await app?.close();
    app = null;
    expect(await backdoor.count(topology.workQueue)).toBe(0);
  }

  const expiry = (conferenceId: number, dueAt: number): Timer => ({
    pattern: CONFIRMATION_EXPIRED,
    conferenceId,
    dueAt,
  });

  it('come on time, however far off the others are', async () => {
    environment.offers.windowMs = 1_500;
    topology = topologyOf(environment);
    const publisher = await start();
    const now = Date.now();
    const delaysMs = [0, 400, 1_000, 1_500, 2_300];
    publisher.schedule([expiry(99, now + 400 * DAY_MS), ...delaysMs.map((ms, id) => expiry(id + 1, now + ms))], now);
    publisher.schedule([{ pattern: CONFERENCE_STARTS, conferenceId: 50, dueAt: now + 1_000 }], now);

    await eventually(() => expect(boxOffice.looks.some(({ command }) => command === 'start')).toBe(true));
    for (const [index, ms] of delaysMs.entries()) {
      const look = await eventually(() => {
        const found = boxOffice.of(index + 1).find(({ at }) => at >= now + ms);
        if (found === undefined) throw new Error(`timer of ${ms} ms has not come`);
        return found;
      });
      expect(look.command).toBe('expire');
      expect(look.at - now - ms).toBeLessThan(150);
    }
    expect(await backdoor.count(topology.queueFor(DAY_MS))).toBe(1);
    expect(boxOffice.of(99)).toEqual([]);
    await expectNothingLeft();
  });

  it('come on time on quorum queues too', async () => {
    environment = brokerEnvironment(brokerUrl, { RABBITMQ_QUEUE_TYPE: 'quorum' });
    topology = topologyOf(environment);
    const publisher = await start();
    const now = Date.now();
    publisher.schedule([expiry(1, now + 1_000)], now);
    await eventually(() => expect(boxOffice.of(1).some(({ at }) => at >= now + 1_000)).toBe(true));
    expect(boxOffice.of(1).at(-1)?.at).toBeLessThan(now + 1_250);
    backdoor.send(topology.workQueue, 'no timer');
    await eventually(async () => expect(await backdoor.count(topology.parkedQueue)).toBe(1));
    await expectNothingLeft();
  });

  it('are published, and left to others, where the role is api', async () => {
    environment.role = 'api';
    app = await startMessaging(environment, boxOffice, log);
    const publisher = app.get(TimerPublisher);
    await eventually(() => expect(publisher.state).toBe('up'));
    publisher.schedule([expiry(1, Date.now())], Date.now());
    await eventually(async () => expect(await backdoor.count(topology.workQueue)).toBe(1));
    expect((await backdoor.channel.checkQueue(topology.workQueue)).consumerCount).toBe(0);
  });

  it("are nobody's without a broker", async () => {
    app = await startMessaging({ ...environment, broker: null }, boxOffice, log);
    const publisher = app.get(TimerPublisher);
    publisher.schedule([expiry(1, Date.now())], Date.now());
    expect(publisher.state).toBe('none');
    expect(publisher.counts).toEqual({ published: 0, returned: 0, dropped: 0, owed: 0, inFlight: 0 });
  });

  it('that are equal are set once', async () => {
    const publisher = await start();
    const now = Date.now();
    const timers = Array.from({ length: 1_000 }, () => expiry(1, now + DAY_MS));
    publisher.schedule(timers, now);
    publisher.schedule(timers, now);
    await eventually(() => expect(publisher.counts).toMatchObject({ published: 1, inFlight: 0, owed: 0 }));
    expect(await backdoor.count(topology.queueFor(DAY_MS))).toBe(1);
  });

  it('that come twice are looked at twice, and are done', async () => {
    await start();
    const due = expiry(1, Date.now() - 10);
    backdoor.sendTimer(topology.workQueue, due);
    backdoor.sendTimer(topology.workQueue, due);
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(2));
    await expectNothingLeft();
  });

  it('that come early take another hop', async () => {
    const publisher = await start();
    const dueAt = Date.now() + 1_300;
    backdoor.sendTimer(topology.workQueue, expiry(1, dueAt));
    await eventually(() => expect(boxOffice.of(1).some(({ at }) => at >= dueAt)).toBe(true));
    // Early, and after the hop of 1 s; then the rest is waited out. (A timeout of Node may end 1 ms early: then it looks again.)
    expect(boxOffice.of(1).filter(({ at }) => at < dueAt - 100)).toHaveLength(2);
    expect(boxOffice.of(1).at(-1)?.at).toBeLessThan(dueAt + 100);
    expect(publisher.counts.published).toBe(1);
    await expectNothingLeft();
  });

  it('that are malformed are parked, and the next one is handled', async () => {
    await start();
    const data = { conference_id: 1, due_at: new Date().toISOString() };
    const malformed = [
      '',
      'no JSON {',
      'null',
      '17',
      '"confirmation.expired"',
      '[]',
      '{}',
      '{"pattern":5}',
      '{"pattern":null}',
      JSON.stringify({ pattern: { cmd: CONFIRMATION_EXPIRED }, data }),
      JSON.stringify({ pattern: 'user.created', data }),
      JSON.stringify({ pattern: 'user.created', data, id: '1' }),
      JSON.stringify({ pattern: `"${CONFIRMATION_EXPIRED}"`, data }),
      JSON.stringify({ pattern: '['.repeat(50_000), data }),
      `{"pattern":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
      JSON.stringify({ pattern: CONFIRMATION_EXPIRED }),
      JSON.stringify({ pattern: CONFIRMATION_EXPIRED, data: null }),
      JSON.stringify({ pattern: CONFIRMATION_EXPIRED, data: [data], id: 7 }),
      JSON.stringify({ pattern: CONFERENCE_STARTS, data: { ...data, conference_id: '1; DROP TABLE bookings' } }),
      JSON.stringify({ pattern: CONFERENCE_STARTS, data: { ...data, due_at: 'now' } }),
      Buffer.from([0xff, 0xfe, 0x00]),
    ];
    for (const body of malformed) backdoor.send(topology.workQueue, body);
    backdoor.sendTimer(topology.workQueue, expiry(2, Date.now() - 10));

    await eventually(() => expect(boxOffice.of(2)).toHaveLength(1));
    await eventually(async () => expect(await backdoor.count(topology.parkedQueue)).toBe(malformed.length));
    expect(boxOffice.looks).toHaveLength(1);
    await expectNothingLeft();
  });

  it('that are requests are handled as events, and answered to nobody', async () => {
    await start();
    const data = { conference_id: 3, due_at: new Date(Date.now() - 10).toISOString() };
    backdoor.send(topology.workQueue, JSON.stringify({ pattern: CONFIRMATION_EXPIRED, data, id: '1' }));
    await eventually(() => expect(boxOffice.of(3)).toHaveLength(1));
    await expectNothingLeft();
  });

  it('that cannot be handled for now are tried again a second later, and hold up no other', async () => {
    const publisher = await start();
    boxOffice.meanwhile = ({ conferenceId }) => {
      if (conferenceId === 1 && boxOffice.of(1).length <= 2) {
        throw new AppError('unavailable', 'DATABASE_UNAVAILABLE', 'The database is away');
      }
    };
    backdoor.sendTimer(topology.workQueue, expiry(1, Date.now() - 10));
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(1));
    backdoor.sendTimer(topology.workQueue, expiry(2, Date.now() - 10));
    await eventually(() => expect(boxOffice.of(2)).toHaveLength(1));
    expect(boxOffice.of(1)).toHaveLength(1);

    const [first, , third] = await eventually(() => {
      expect(boxOffice.of(1)).toHaveLength(3);
      return boxOffice.of(1);
    });
    expect((third?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1_980);
    expect(publisher.counts.published).toBe(2);
    expect(await backdoor.count(topology.parkedQueue)).toBe(0);
    await expectNothingLeft();
  });

  it('whose handling is broken are parked, not tried for ever', async () => {
    await start();
    boxOffice.meanwhile = () => {
      throw new TypeError('a bug');
    };
    backdoor.sendTimer(topology.workQueue, expiry(1, Date.now() - 10));
    await eventually(async () => expect(await backdoor.count(topology.parkedQueue)).toBe(1));
    expect(boxOffice.looks).toHaveLength(1);
    await expectNothingLeft();
  });

  it('in work are finished and acked when the application closes; what only waits goes back', async () => {
    await start();
    let finish: () => void = () => undefined;
    const finished: number[] = [];
    boxOffice.meanwhile = async ({ conferenceId }) => {
      if (conferenceId === 1) await new Promise<void>((resolve) => (finish = resolve));
      finished.push(conferenceId);
    };
    backdoor.sendTimer(topology.workQueue, expiry(1, Date.now() - 10));
    backdoor.sendTimer(topology.workQueue, expiry(2, Date.now() + 800));
    await eventually(() => {
      expect(boxOffice.of(1)).toHaveLength(1);
      expect(finished).toEqual([2]);
    });

    const closing = app?.close();
    app = null;
    // Number 2 is back while number 1 is still in work: the consumer is gone, and the handler is not.
    await eventually(async () => expect(await backdoor.count(topology.workQueue)).toBe(1));
    backdoor.sendTimer(topology.workQueue, expiry(3, Date.now()));
    finish();
    await closing;

    expect(finished).toEqual([2, 1]);
    const left = [await backdoor.channel.get(topology.workQueue), await backdoor.channel.get(topology.workQueue)];
    const ids = left.map((message) => message && (JSON.parse(message.content.toString()) as { data: unknown }).data);
    expect(ids).toMatchObject([{ conference_id: 2 }, { conference_id: 3 }]);
    expect(await backdoor.channel.get(topology.workQueue)).toBe(false);
  });

  it('are published before the application ends', async () => {
    const publisher = await start();
    const now = Date.now();
    publisher.schedule(
      Array.from({ length: 2_000 }, (_, id) => expiry(id + 1, now + 2 * DAY_MS)),
      now,
    );
    await expectNothingLeft();
    expect(publisher.counts.published).toBe(2_000);
    expect(await backdoor.count(topology.queueFor(DAY_MS))).toBe(2_000);
  });

  it('are consumed again after the work queue was deleted', async () => {
    const publisher = await start();
    await backdoor.channel.deleteQueue(topology.workQueue);
    await eventually(async () => expect(boxOffice.of(1).length + (await trySend())).toBeGreaterThan(1));
    async function trySend(): Promise<number> {
      publisher.schedule([expiry(1, Date.now() - 10)], Date.now());
      await eventually(() => expect(publisher.counts).toMatchObject({ inFlight: 0, owed: 0 }));
      return 1;
    }
    expect(log.with('a timer was returned')).not.toEqual([]);
  });

  it('wait for a queue that has other arguments, and the process lives', async () => {
    const queue = topology.queueFor(60_000);
    await backdoor.channel.assertQueue(queue, { durable: true, arguments: { 'x-message-ttl': 5 } });
    app = await startMessaging(environment, boxOffice, log);
    const publisher = app.get(TimerPublisher);
    const now = Date.now();
    publisher.schedule([expiry(1, now)], now);
    const told = (): string[] => log.with(`Queue "${queue}" exists on the broker with other arguments`);
    // The publisher says it, and the consumer.
    await eventually(() => expect(told()).toHaveLength(2));
    expect(publisher.state).toBe('down');
    expect(publisher.counts.owed).toBe(1);

    await backdoor.channel.deleteQueue(queue);
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(1), { timeoutMs: 25_000 });
    expect(publisher.state).toBe('up');
    expect(told()).toHaveLength(2);
    await expectNothingLeft();
  });
});

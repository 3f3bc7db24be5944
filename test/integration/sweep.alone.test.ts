import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AppError } from '../../src/common/app-error.js';
import { timersMadeUpFor } from '../../src/common/facts.js';
import { Conference } from '../../src/conferences/conference.entity.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { parseEnvironment, type Environment } from '../../src/config/environment.js';
import { Database } from '../../src/database/database.js';
import { DatabaseModule } from '../../src/database/database.module.js';
import { MessagingModule } from '../../src/messaging/messaging.module.js';
import { TimerPublisher } from '../../src/messaging/timer-publisher.js';
import { Booking } from '../../src/seating/booking.entity.js';
import { BoxOffice } from '../../src/seating/box-office.js';
import { User } from '../../src/users/user.entity.js';
import { TracingModule } from '../../src/tracing/tracing.module.js';
import { Sweep } from '../../src/waitlist/sweep.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Backdoor, brokerEnvironment, Log, LookRecorder, Proxy, throughout } from './timers-support.js';

describe('the sweep', () => {
  let database: TestDatabase;
  let boxOffice: LookRecorder;
  let log: Log;
  let app: INestApplicationContext | null;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  beforeEach(() => {
    boxOffice = new LookRecorder();
    log = new Log();
    app = null;
  });
  afterEach(async () => {
    await app?.get(DataSource).query('TRUNCATE bookings, conferences, users CASCADE');
    await app?.close();
  });

  const withoutBroker = (variables: Record<string, string> = {}): Environment =>
    parseEnvironment({ SWEEP_INTERVAL_SECONDS: '0.1', ...variables });

  /** The sweep on the real database, before its first round. */
  async function prepare(environment: Environment): Promise<DataSource> {
    environment.database.url = database.url;
    const module = await Test.createTestingModule({
      imports: [
        ConfigModule.with(environment),
        DatabaseModule.connected(),
        TypeOrmModule.forFeature([Booking, Conference, User]),
        MessagingModule,
        TracingModule,
      ],
      providers: [Sweep, { provide: BoxOffice, useValue: boxOffice }],
    })
      .setLogger(log)
      .compile();
    app = module;
    return module.get(DataSource).initialize();
  }

  async function start(): Promise<void> {
    await app?.init();
    await app?.get(Database).connect();
  }

  /** Conferences `from` to `to`, each with one offer; how long from now they start, and their offers end. */
  async function addConferences(
    dataSource: DataSource,
    [from, to]: [number, number],
    { startsIn, offerEndsIn }: { startsIn: string; offerEndsIn?: string },
  ): Promise<void> {
    await dataSource.query(
      `INSERT INTO conferences (conference_id, name, location, starts_at, ends_at, total_slots, available_slots, held_slots)
       SELECT id, 'c' || id, 'here', now() + $3::interval + id * interval '1 ms', now() + $3::interval + interval '1 hour',
              1, 0, 1
         FROM generate_series($1::integer, $2::integer) AS id`,
      [from, to, startsIn],
    );
    if (offerEndsIn === undefined) return;
    await dataSource.query(
      `WITH new AS (INSERT INTO users (user_id) SELECT 'u' || id FROM generate_series($1::integer, $2::integer) AS id)
       INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket, confirmation_deadline, created_at)
       SELECT id, 'u' || id, 'ConfirmationPending', tstzrange(starts_at, ends_at), 1,
              now() + $3::interval + id * interval '1 ms', now()
         FROM generate_series($1::integer, $2::integer) AS id JOIN conferences ON conference_id = id`,
      [from, to, offerEndsIn],
    );
  }

  /** What the box office would do, as far as the sweep sees it. */
  function settleLooksIn(dataSource: DataSource): void {
    boxOffice.meanwhile = async ({ command, conferenceId }) => {
      await dataSource.query(
        command === 'expire'
          ? `DELETE FROM bookings WHERE conference_id = $1`
          : `UPDATE conferences SET waitlist_closed_at = now() WHERE conference_id = $1`,
        [conferenceId],
      );
    };
  }

  it('has looked at what is overdue, oldest first, and at nothing else', async () => {
    const dataSource = await prepare(withoutBroker());
    await addConferences(dataSource, [1, 2], { startsIn: '1 day', offerEndsIn: '-1 minute' });
    await addConferences(dataSource, [3, 3], { startsIn: '1 day', offerEndsIn: '-2 minutes' });
    await addConferences(dataSource, [4, 4], { startsIn: '1 day', offerEndsIn: '1 hour' });
    await addConferences(dataSource, [5, 5], { startsIn: '-2 minutes' });
    await addConferences(dataSource, [6, 6], { startsIn: '-1 minute' });
    await addConferences(dataSource, [7, 7], { startsIn: '1 day' });
    settleLooksIn(dataSource);
    await start();
    await eventually(() => expect(boxOffice.looks.length).toBeGreaterThanOrEqual(5));
    expect(boxOffice.looks.map(({ command, conferenceId }) => [command, conferenceId])).toEqual([
      ['expire', 3],
      ['expire', 1],
      ['expire', 2],
      ['start', 5],
      ['start', 6],
    ]);
  });

  it('goes on at once while a round is full', async () => {
    const dataSource = await prepare(withoutBroker({ SWEEP_INTERVAL_SECONDS: '3600' }));
    await addConferences(dataSource, [1, 250], { startsIn: '1 day', offerEndsIn: '-1 hour' });
    await addConferences(dataSource, [251, 400], { startsIn: '-1 hour' });
    settleLooksIn(dataSource);
    await start();
    await eventually(() => expect(new Set(boxOffice.looks.map((look) => look.conferenceId)).size).toBe(400));
    expect(boxOffice.looks).toHaveLength(400);
  });

  it('waits for the database to be there', async () => {
    const dataSource = await prepare(withoutBroker());
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    await app?.init();
    await throughout(300, () => expect(boxOffice.looks).toEqual([]));
    await app?.get(Database).connect();
    await eventually(() => expect(boxOffice.looks).not.toEqual([]));
  });

  it('never overlaps itself', async () => {
    const dataSource = await prepare(withoutBroker({ SWEEP_INTERVAL_SECONDS: '0.05' }));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    const finishers: (() => void)[] = [];
    boxOffice.meanwhile = () => new Promise((resolve) => finishers.push(resolve));
    await start();
    await eventually(() => expect(boxOffice.looks).toHaveLength(1));
    await throughout(500, () => expect(boxOffice.looks).toHaveLength(1));
    finishers[0]?.();
    await eventually(() => expect(boxOffice.looks).toHaveLength(2));
    finishers[1]?.();
    boxOffice.meanwhile = () => undefined;
  });

  it('reports an outage once, and goes on after it', async () => {
    const dataSource = await prepare(withoutBroker({ SWEEP_INTERVAL_SECONDS: '0.05' }));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    boxOffice.meanwhile = () => {
      throw new AppError('unavailable', 'DATABASE_UNAVAILABLE', 'The database is away');
    };
    await start();
    await eventually(() => expect(boxOffice.looks.length).toBeGreaterThan(3));
    settleLooksIn(dataSource);
    await eventually(() => expect(log.with('The sweep works again')).toHaveLength(1));
    expect(log.with('The sweep failed')).toHaveLength(1);
  });

  it('does not let one conference that fails hold up another', async () => {
    const dataSource = await prepare(withoutBroker());
    await addConferences(dataSource, [1, 2], { startsIn: '-1 hour' });
    boxOffice.meanwhile = ({ conferenceId }) => {
      if (conferenceId === 1) throw new TypeError('a bug');
    };
    await start();
    await eventually(() => expect(boxOffice.of(2)).not.toEqual([]));
    expect(log.with('Conference 1: a bug')).not.toEqual([]);
  });

  it('is held up by no conference, and does not ask for one again that is in hand', async () => {
    const dataSource = await prepare(withoutBroker({ SWEEP_INTERVAL_SECONDS: '0.05' }));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    let finish: () => void = () => undefined;
    boxOffice.meanwhile = ({ conferenceId }) =>
      conferenceId === 1 ? new Promise((resolve) => (finish = resolve)) : undefined;
    await start();
    await eventually(() => expect(boxOffice.of(1)).toHaveLength(1));
    await addConferences(dataSource, [2, 2], { startsIn: '-1 hour' });
    await eventually(() => expect(boxOffice.of(2).length).toBeGreaterThan(3));
    expect(boxOffice.of(1)).toHaveLength(1);
    finish();
    await eventually(() => expect(boxOffice.of(1).length).toBeGreaterThan(1));
    boxOffice.meanwhile = () => undefined;
    finish();
  });

  it('awaits what is in hand when the application closes, and begins no other', async () => {
    const dataSource = await prepare(withoutBroker({ SWEEP_INTERVAL_SECONDS: '0.05' }));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    let finish: () => void = () => undefined;
    boxOffice.meanwhile = () => new Promise((resolve) => (finish = resolve));
    await start();
    await eventually(() => expect(boxOffice.looks).toHaveLength(1));
    await dataSource.query('TRUNCATE bookings, conferences, users CASCADE');
    let isClosed = false;
    const closing = app?.close().then(() => (isClosed = true));
    app = null;
    await throughout(300, () => expect(isClosed).toBe(false));
    finish();
    await closing;
    expect(boxOffice.looks).toHaveLength(1);
    expect(dataSource.isInitialized).toBe(false);
  });

  it('leaves it to the workers where the role is api', async () => {
    const dataSource = await prepare(withoutBroker({ ENABLE_QUEUE_CONSUMERS: 'false' }));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    await start();
    expect(log.with('This instance handles no timers')).toHaveLength(1);
    await throughout(300, () => expect(boxOffice.looks).toEqual([]));
  });

  it('tells what it made up for: what a timer should have been there for, and not what one is on its way for', async () => {
    const madeUpFor: string[] = [];
    const endListening = timersMadeUpFor.listen(({ what, count }) => madeUpFor.push(`${count} ${what}`));
    const brokerUrl = process.env.TEST_RABBITMQ_URL ?? '';
    const backdoor = await Backdoor.open(brokerUrl);
    const environment = brokerEnvironment(brokerUrl, { SWEEP_INTERVAL_SECONDS: '0.05' });
    try {
      const dataSource = await prepare(environment);
      settleLooksIn(dataSource);
      await start();
      await eventually(() => expect(app?.get(TimerPublisher).state).toBe('up'));
      await addConferences(dataSource, [1, 3], { startsIn: '1 day', offerEndsIn: '0 seconds' });
      await addConferences(dataSource, [4, 4], { startsIn: '0 seconds' });
      await eventually(() => expect(new Set(boxOffice.looks.map((look) => look.conferenceId)).size).toBe(4));
      expect(madeUpFor).toEqual([]);
      await addConferences(dataSource, [11, 12], { startsIn: '1 day', offerEndsIn: '-2 seconds' });
      await addConferences(dataSource, [13, 13], { startsIn: '-2 seconds' });
      await eventually(() => expect(madeUpFor).toHaveLength(3));
      expect(madeUpFor.sort()).toEqual(['1 offer', '1 offer', '1 start']);
    } finally {
      endListening();
      await backdoor.deleteQueues(environment);
      await backdoor.close();
    }
  });

  it('is quick without the broker, and takes its time with it', async () => {
    const brokerUrl = process.env.TEST_RABBITMQ_URL ?? '';
    const backdoor = await Backdoor.open(brokerUrl);
    const proxy = await Proxy.to(brokerUrl);
    await proxy.open();
    const environment = brokerEnvironment(proxy.url);
    environment.sweep = { intervalMs: 3_600_000, quickIntervalMs: 50 };
    const dataSource = await prepare(environment);
    await start();
    const publisher = app?.get(TimerPublisher);
    await eventually(() => expect(publisher?.state).toBe('up'));
    await addConferences(dataSource, [1, 1], { startsIn: '-1 hour' });
    // A round that was in work when the broker came may have seen the conference.
    await throughout(500, () => expect(boxOffice.looks.length).toBeLessThanOrEqual(1));
    await proxy.close();
    await eventually(() => expect(boxOffice.looks.length).toBeGreaterThan(4));
    await backdoor.deleteQueues(environment);
    await backdoor.close();
  });
});

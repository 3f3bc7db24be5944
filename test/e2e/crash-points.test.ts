import { type Reply, ServiceUnreachable } from '../../src/cli/api-client.js';
import { auditDatabase } from '../../src/cli/audit/audit-database.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { type Proxy, startProxy, type Verdict } from '../support/proxy.js';
import { Backstage } from '../support/seating.js';
import { latenessOfMissed, Queues, visit } from './support.js';

const ROUNDS = 20;
/** Of timers, one kill befalls so many conferences, each of which is at the same point. */
const SIDE_BY_SIDE = 5;
/** How late anything may be done, also where the instance that was to do it is gone. */
const OVERDUE_SECONDS = 10;
const OVERDUE_MS = 1_000 * OVERDUE_SECONDS;
/** Fifty processes are started. */
const TIMEOUT_MS = 420_000;

/** `Q`, the length, and the statement: what a client sends to commit. */
const COMMIT = Buffer.from('Q\0\0\0\x0bCOMMIT\0');
/** A method frame's class and method: basic.publish, basic.ack. */
const PUBLISH = Buffer.from([0, 60, 0, 40]);
const ACK = Buffer.from([0, 60, 0, 80]);

type World = ReturnType<typeof visit>;
type Conference = Awaited<ReturnType<World['conference']>>;

/** One conference with one slot: somebody has it, and others wait. */
interface Stage {
  conference: Conference;
  confirmed: { userId: string; bookingId: number };
  waiting: { userId: string; bookingId: number }[];
}

async function setStage(world: World, waitingCount: number): Promise<Stage> {
  const conference = await world.conference({ slots: 1 });
  const [first = '', ...others] = await world.severalUsers(1 + waitingCount);
  const confirmed = { userId: first, bookingId: await world.bookConfirmed(first, conference) };
  const waiting: Stage['waiting'] = [];
  for (const userId of others) {
    waiting.push({ userId, bookingId: await world.bookWaitlisted(userId, conference, waiting.length + 1) });
  }
  return { conference, confirmed, waiting };
}

/** A database of a crash point's own, and one instance on it, behind proxies, that is killed and started again and again. */
class House {
  readonly toDatabase: Proxy;
  readonly toBroker: Proxy | null;
  private victim: Service | null = null;
  private visitor: World | null = null;
  private readonly survivors: Service[] = [];

  private constructor(
    private readonly database: TestDatabase,
    readonly backstage: Backstage,
    readonly queues: Queues | null,
    proxies: { toDatabase: Proxy; toBroker: Proxy | null },
    private readonly env: Record<string, string>,
  ) {
    this.toDatabase = proxies.toDatabase;
    this.toBroker = proxies.toBroker;
  }

  static async open(env: Record<string, string>, queues: Queues | null = null): Promise<House> {
    const database = await createTestDatabase();
    const backstage = await Backstage.open(database.url);
    const toDatabase = await startProxy(new URL(database.url));
    const toBroker = queues === null ? null : await startProxy(new URL(queues.env.RABBITMQ_URL ?? ''));
    return new House(database, backstage, queues, { toDatabase, toBroker }, env);
  }

  get world(): World {
    if (this.visitor === null) throw new Error('The instance is not running');
    return this.visitor;
  }

  /** An instance that is not killed. */
  async startSurvivor(env: Record<string, string>): Promise<void> {
    const own = { DATABASE_URL: this.database.url, ...this.queues?.env, ...env };
    this.survivors.push(await startService(own, { until: 'ready' }));
  }

  async startVictim(): Promise<void> {
    const brokerUrl = this.queues?.env.RABBITMQ_URL;
    this.victim = await startService(
      {
        ...this.queues?.env,
        ...(brokerUrl === undefined ? {} : { RABBITMQ_URL: through(this.toBroker, brokerUrl) }),
        DATABASE_URL: through(this.toDatabase, this.database.url),
        ...this.env,
      },
      { until: 'ready' },
    );
    this.visitor = visit(this.victim);
  }

  async killVictim(): Promise<void> {
    this.visitor?.api.close();
    await this.victim?.stop('SIGKILL');
    this.toDatabase.judge = () => 'pass';
    if (this.toBroker !== null) this.toBroker.judge = () => 'pass';
    [this.victim, this.visitor] = [null, null];
  }

  /** What happened in a conference: who (by the order of booking, from 0), and why. */
  async stepsOf({ name }: Conference): Promise<string[]> {
    const rows = await this.backstage.query<{ who: number; reason: string }>(
      `SELECT dense_rank() OVER (ORDER BY booking_id)::int - 1 AS who, reason, transition_id
       FROM booking_transitions JOIN bookings USING (booking_id) JOIN conferences USING (conference_id)
       WHERE name = $1 ORDER BY transition_id`,
      [name],
    );
    return rows.map(({ who, reason }) => `${who} ${reason}`);
  }

  /** Everything must hold at any moment, while others go on. */
  async audit(): Promise<void> {
    await this.backstage.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      const findings = await auditDatabase((sql) => this.backstage.query(sql), { graceSeconds: OVERDUE_SECONDS });
      expect(findings.filter(({ total }) => total > 0)).toEqual([]);
    } finally {
      await this.backstage.query('COMMIT');
    }
  }

  async close(): Promise<void> {
    await this.killVictim();
    for (const survivor of this.survivors) await survivor.stop();
    await this.toDatabase.close();
    await this.toBroker?.close();
    await this.queues?.close();
    await this.backstage.close();
    await this.database.drop();
  }
}

function through(proxy: Proxy | null, target: string): string {
  const url = new URL(target);
  url.host = `127.0.0.1:${proxy?.port ?? 0}`;
  return url.href;
}

/**
 * Does something to the first chunk that has `what` in it. Of what comes after it, on any connection, nothing goes on,
 * unless told.
 */
function atFirst(proxy: Proxy | null, what: Buffer, verdict: Verdict, afterwards: Verdict = 'hold'): () => boolean {
  if (proxy === null) throw new Error('There is no broker');
  let isReached = false;
  proxy.judge = (chunk) => {
    if (isReached) return afterwards;
    isReached = chunk.includes(what);
    return isReached ? verdict : 'pass';
  };
  return () => isReached;
}

/** A request during which the instance is killed, what it does to a conference, and how it is refused when it is done. */
interface Request {
  conference: Conference;
  send: (world: World) => Promise<Reply<unknown>>;
  steps: string[];
  refusedAgain: string;
}

async function prepareRequest(world: World, round: number): Promise<Request> {
  if (round % 3 === 0) {
    const { conference } = await setStage(world, 0);
    const [userId = ''] = await world.severalUsers(1);
    const send: Request['send'] = ({ api }) => api.book(userId, conference.name);
    return { conference, send, steps: ['1 joined_waitlist'], refusedAgain: 'ALREADY_BOOKED' };
  }
  const { conference, confirmed, waiting } = await setStage(world, 1);
  if (round % 3 === 1) {
    const send: Request['send'] = ({ api }) => api.cancel(confirmed.bookingId);
    return { conference, send, steps: ['0 canceled', '1 offered'], refusedAgain: 'ALREADY_CANCELED' };
  }
  await world.cancelActive(confirmed.bookingId);
  const [offered] = waiting;
  const send: Request['send'] = ({ api }) => api.confirm(offered?.bookingId ?? 0, offered?.userId ?? '');
  return { conference, send, steps: ['1 confirmed'], refusedAgain: 'NOT_CONFIRMATION_PENDING' };
}

const isReached = (reached: () => boolean) => eventually(() => expect(reached()).toBe(true));

describe('an instance that is killed', () => {
  const houses: House[] = [];
  afterAll(async () => {
    for (const house of houses) await house.close();
  });

  async function openHouse(...what: Parameters<typeof House.open>): Promise<House> {
    const house = await House.open(...what);
    houses.push(house);
    return house;
  }

  /** Kills the instance of a house during requests, in as many rounds. */
  async function duringCommit(
    verdict: Verdict,
    whenReached: (house: House, request: Request, before: string[]) => Promise<void>,
    afterwards: (house: House, request: Request, before: string[]) => Promise<void>,
  ): Promise<void> {
    // Longer than any round: what is offered stays so.
    const house = await openHouse({ ENABLE_QUEUE_CONSUMERS: 'false', CONFIRMATION_WINDOW_SECONDS: '3600' });
    await house.startVictim();
    for (let round = 0; round < ROUNDS; round++) {
      const request = await prepareRequest(house.world, round);
      const before = await house.stepsOf(request.conference);
      const reached = atFirst(house.toDatabase, COMMIT, verdict);
      const asked = expect(request.send(house.world)).rejects.toThrow(ServiceUnreachable);
      await isReached(reached);
      await whenReached(house, request, before);
      await house.killVictim();
      await asked;
      await house.startVictim();
      await afterwards(house, request, before);
      await house.audit();
    }
  }

  async function beforeCommit(): Promise<void> {
    await duringCommit(
      'hold',
      async (house, { conference }, before) => expect(await house.stepsOf(conference)).toEqual(before),
      async (house, { conference, send, steps }, before) => {
        expect(await house.stepsOf(conference)).toEqual(before);
        expect(await send(house.world)).toMatchObject({ ok: true });
        expect(await house.stepsOf(conference)).toEqual([...before, ...steps]);
      },
    );
  }

  async function afterCommit(): Promise<void> {
    await duringCommit(
      'hold answers',
      (house, { conference, steps }, before) =>
        eventually(async () => expect(await house.stepsOf(conference)).toEqual([...before, ...steps])),
      async (house, { conference, send, steps, refusedAgain }, before) => {
        expect(await send(house.world)).toMatchObject({ ok: false, answer: { body: { code: refusedAgain } } });
        expect(await house.stepsOf(conference)).toEqual([...before, ...steps]);
      },
    );
  }

  /** The first of two who wait has an offer that nobody takes; then the second one has it. */
  const MISSED = [
    '0 booked',
    '1 joined_waitlist',
    '2 joined_waitlist',
    '0 canceled',
    '1 offered',
    '1 missed',
    '2 offered',
  ];

  const setStages = (world: World): Promise<Stage[]> =>
    Promise.all(Array.from({ length: SIDE_BY_SIDE }, () => setStage(world, 2)));

  async function expectSteps(
    house: House,
    stages: readonly Stage[],
    expected: string[],
    timeoutMs: number,
  ): Promise<void> {
    await eventually(
      async () => {
        for (const { conference } of stages) {
          expect((await house.stepsOf(conference)).slice(0, expected.length)).toEqual(expected);
        }
      },
      { timeoutMs, intervalMs: 50 },
    );
  }

  async function beforeTimer(): Promise<void> {
    const house = await openHouse({ ENABLE_QUEUE_CONSUMERS: 'false' }, await Queues.open(1));
    await house.startSurvivor({ WORKER_ONLY: 'true', SWEEP_INTERVAL_SECONDS: '1' });
    await house.startVictim();
    for (let round = 0; round < ROUNDS; round += SIDE_BY_SIDE) {
      const stages = await setStages(house.world);
      const reached = atFirst(house.toBroker, PUBLISH, 'hold');
      await Promise.all(stages.map(({ confirmed }) => house.world.cancelActive(confirmed.bookingId)));
      await isReached(reached);
      await house.killVictim();
      await expectSteps(house, stages, MISSED, OVERDUE_MS);
      await house.startVictim();
      await house.audit();
    }
    expect((await latenessOfMissed(house.backstage, 1)).at(-1)).toBeLessThan(OVERDUE_MS);
  }

  async function beforeAck(): Promise<void> {
    const queues = await Queues.open(1);
    // Its first sweep comes at the start, and no other one: what is missed is the timers' doing.
    const house = await openHouse({ SWEEP_INTERVAL_SECONDS: '3600' }, queues);
    await house.startVictim();
    for (let round = 0; round < ROUNDS; round += SIDE_BY_SIDE) {
      await queues.whenConsumed();
      const stages = await setStages(house.world);
      const reached = atFirst(house.toBroker, ACK, 'hold', 'pass');
      await Promise.all(stages.map(({ confirmed }) => house.world.cancelActive(confirmed.bookingId)));
      await expectSteps(house, stages, MISSED, OVERDUE_MS);
      await isReached(reached);
      await house.killVictim();
      // Handled, and not acknowledged: they come again.
      await eventually(async () => expect(await queues.countRedelivered()).toBeGreaterThanOrEqual(SIDE_BY_SIDE));
      await house.startVictim();
      await expectSteps(house, stages, [...MISSED, '2 missed', '1 offered'], OVERDUE_MS);
      await house.audit();
      // The next round's timers are the only ones.
      await Promise.all(
        stages.flatMap(({ waiting }) => waiting.map(({ bookingId }) => house.world.cancelActive(bookingId))),
      );
      await eventually(async () => expect((await queues.countDelayed(1_000)) + (await queues.countDue())).toBe(0));
    }
  }

  // Side by side: half of the time they wait.
  const points = [
    ['before COMMIT arrives: nothing was done, and the same request succeeds', beforeCommit],
    ['after COMMIT and before its answer: it was done once, and the same request is refused', afterCommit],
    ['after COMMIT and before the timer is published: the sweep makes up for it', beforeTimer],
    ['after the timer was handled and before it is acknowledged: it comes again, and does nothing twice', beforeAck],
  ] as const;
  let outcomes: PromiseSettledResult<unknown>[] = [];
  beforeAll(async () => {
    outcomes = await Promise.allSettled(points.map(([, run]) => run()));
  }, TIMEOUT_MS);

  it.each(points.map(([what], index) => [what, index] as const))('%s', (_what, index) => {
    const outcome = outcomes[index];
    if (outcome?.status === 'rejected') throw outcome.reason;
    expect(outcome?.status).toBe('fulfilled');
  });
});

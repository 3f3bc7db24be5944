import fc from 'fast-check';
import { ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { type Clock, SweepClock, TimerClock } from './model/clock.js';
import { Model } from './model/model.js';
import { close, open, Stage, step, type Step, WINDOW_MS } from './model/steps.js';
import { Queues } from './support.js';

/** Fewer where the service is tried with a fault in it: see scripts/faults.mjs. */
const SEQUENCES = Number(process.env.MODEL_SEQUENCES ?? 200);
const STEPS = 30;
/** So many sequences are played at once, each with people and conferences of its own. */
const AT_ONCE = 4;
/** Time to find the shortest sequence that fails; without a failure it takes a small part of it. */
const TIMEOUT_MS = 600_000;

/** `MODEL_SEED=N npm test -- test/e2e/model` repeats a run. */
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 1_000_000_000));

/** As long as told when it is drawn; when it fails, any shorter one is tried. */
class FullLength<T> extends fc.Arbitrary<T[]> {
  private readonly inner: fc.Arbitrary<T[]>;

  constructor(
    item: fc.Arbitrary<T>,
    private readonly length: number,
  ) {
    super();
    this.inner = fc.array(item, { maxLength: length, size: 'max' });
  }

  override generate(random: fc.Random): fc.Value<T[]> {
    for (;;) {
      const drawn = this.inner.generate(random, undefined);
      if (drawn.value.length === this.length) return drawn;
    }
  }

  override canShrinkWithoutContext(value: unknown): value is T[] {
    return this.inner.canShrinkWithoutContext(value);
  }

  override shrink(value: T[], context: unknown): fc.Stream<fc.Value<T[]>> {
    return this.inner.shrink(value, context);
  }
}

const WAYS: {
  way: string;
  maxMissed: number;
  open: () => Promise<{ env: Record<string, string>; openClock: () => Promise<Clock> }>;
}[] = [
  {
    way: 'with a broker, whose timers come when a test says so, and with offers that may be missed for ever',
    maxMissed: 0,
    open: async () => {
      const queues = await Queues.open(WINDOW_MS / 1_000);
      // Nothing but timers keeps the time.
      return {
        env: { ...queues.env, SWEEP_INTERVAL_SECONDS: '3600' },
        openClock: () => TimerClock.open(queues.env),
      };
    },
  },
  {
    way: 'without a broker, where the sweep keeps the time, and with offers that may be missed twice',
    maxMissed: 2,
    open: () =>
      Promise.resolve({
        env: { CONFIRMATION_WINDOW_SECONDS: String(WINDOW_MS / 1_000), SWEEP_INTERVAL_SECONDS: '0.05' },
        openClock: () => Promise.resolve(new SweepClock()),
      }),
  },
];

describe.each(WAYS)('the service agrees with a plain model, $way', ({ maxMissed, open: openWay }) => {
  let database: TestDatabase;
  let clock: Clock;
  let service: Service;
  let api: ApiClient;
  let sequences = 0;
  const counts: Record<string, number> = {};

  beforeAll(async () => {
    database = await createTestDatabase();
    const { env, openClock } = await openWay();
    clock = await openClock();
    service = await startService(
      { DATABASE_URL: database.url, MAX_MISSED_OFFERS: String(maxMissed), ...env },
      { until: 'ready' },
    );
    api = new ApiClient(new URL(service.url));
  });

  afterAll(async () => {
    api.close();
    await service.stop();
    await clock.close();
    await database.drop();
  });

  async function play(backstage: Backstage, slots: number[], steps: Step[]): Promise<void> {
    const stage = new Stage(api, backstage, clock, `${++sequences}`, slots);
    const model = new Model(WINDOW_MS, maxMissed);
    await open(stage, model);
    await fc.asyncModelRun(() => ({ model, real: stage }), steps);
    await close(stage, model);
    for (const [what, count] of Object.entries(model.counts)) counts[what] = (counts[what] ?? 0) + count;
  }

  it(
    `in ${SEQUENCES} random sequences of ${STEPS} steps`,
    async () => {
      process.stdout.write(`The seed of these sequences: MODEL_SEED=${SEED}\n`);
      const slots = fc.tuple(...[1, 2, 3, 4].map(() => fc.constantFrom(1, 1, 2)));
      const playLane = async (lane: number): Promise<void> => {
        const backstage = await Backstage.open(database.url);
        try {
          await fc.assert(
            fc.asyncProperty(slots, new FullLength(step, STEPS), (own, steps) => play(backstage, own, steps)),
            {
              numRuns: Math.ceil(SEQUENCES / AT_ONCE),
              endOnFailure: process.env.MODEL_SEQUENCES !== undefined,
              seed: SEED + lane,
              interruptAfterTimeLimit: TIMEOUT_MS - 20_000,
              markInterruptAsFailure: true,
            },
          );
        } finally {
          await backstage.close();
        }
      };
      const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, (_, lane) => playLane(lane)));
      for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
      // Sequences in which little happens would prove little.
      const least = { offered: SEQUENCES / 2, confirmed: SEQUENCES / 20, missed: SEQUENCES / 20 };
      for (const [what, count] of Object.entries(least))
        expect([what, (counts[what] ?? 0) > count]).toEqual([what, true]);
    },
    TIMEOUT_MS,
  );
});

import fc from 'fast-check';
import { type Answer, ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { signWithSecret } from '../support/identity-provider.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { type Document, type Operation, operationsOf } from './fuzz/document.js';
import { describe as described, Judge } from './fuzz/judge.js';
import { headersOf, targetOf } from './fuzz/request.js';
import { type Authorize, type Drawn, prepare, requests } from './fuzz/requests.js';
import { openOffers, visit } from './support.js';

const RUNS = Number(process.env.FUZZ_RUNS ?? 3_000);
/** `FUZZ_SEED=N npm test -- test/e2e/fuzz` draws other requests. */
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_124);
const TIMEOUT_MS = 120_000;
/** So many requests to each operation must be granted, at least. */
const LEAST_GRANTED = 10;
/** Nothing is away here, slow or limited, and no request comes while the one before is still running. */
const NEVER = [408, 409, 429, 503];

const SECRET = 'a secret that only the tests have: 0123456789';

interface Mode {
  mode: string;
  env: Record<string, string>;
  authorize: Authorize;
  /** So many requests are drawn. */
  runs: number;
  /** Statuses that need not come. */
  never: number[];
}

/** Whole `Authorization` headers that are good, and only those. */
const goodTokens = new Set<string>();

const MODES: Mode[] = [
  { mode: 'off', runs: RUNS, never: NEVER, env: { AUTH_MODE: 'off' }, authorize: () => [] },
  {
    mode: 'jwt',
    // Many are refused for their token, and get no further.
    runs: 2 * RUNS,
    // Everybody has keys of their own: hardly one comes twice.
    never: [...NEVER, 422],
    env: { AUTH_MODE: 'jwt', JWT_SECRET: SECRET },
    authorize: async (asker, { user_id }) => {
      if (asker === 'nobody') return [];
      const sub = asker === 'owner' ? user_id : `${asker}1`;
      const claims = asker === 'organizer' ? { sub, role: 'organizer' } : { sub };
      const secret = asker === 'forger' ? `${SECRET}!` : SECRET;
      const value = `Bearer ${await signWithSecret(secret, claims)}`;
      if (asker !== 'forger') goodTokens.add(value);
      return [['Authorization', value]];
    },
  },
];

describe.each(MODES)('what is drawn from the OpenAPI document, with AUTH_MODE=$mode', (mode) => {
  const { runs, never, authorize } = mode;
  let database: TestDatabase;
  let backstage: Backstage;
  let service: Service;
  let api: ApiClient;
  let operations: Operation[];
  let judge: Judge;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    await prepareScenes();
    service = await start(mode.env);
    api = new ApiClient(new URL(service.url));
    const document = (await api.send('GET', '/docs-json')).body as Document;
    operations = operationsOf(document);
    const names = await backstage.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE '%\\_%'
       UNION SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace`,
    );
    judge = new Judge(
      operations,
      names.map(({ name }) => name),
      goodTokens,
    );
  });

  afterAll(async () => {
    api.close();
    const exit = await service.stop();
    await backstage.close();
    await database.drop();
    // No request is an error of the service, and none may leave its token in the log.
    expect(service.output()).not.toMatch(/"level":[56]0/);
    expect(service.output()).not.toMatch(/Bearer|eyJhbGciOi/);
    expect(exit).toEqual({ code: 0, signal: null });
  });

  /** Nothing expires behind the back of this test, and offers stand until it has ended. */
  function start(more: Record<string, string>): Promise<Service> {
    const always = { ENABLE_QUEUE_CONSUMERS: 'false', CONFIRMATION_WINDOW_SECONDS: '3600', LOG_LEVEL: 'info' };
    return startService({ DATABASE_URL: database.url, ...always, ...more }, { until: 'ready' });
  }

  /** A line, offers, some of which are over, and a conference that has started. */
  async function prepareScenes(): Promise<void> {
    const before = await start({ AUTH_MODE: 'off' });
    const world = visit(before);
    const offered = await openOffers(world, 80);
    const [started = 0] = await openOffers(world, 2);
    for (const bookingId of offered.slice(0, 5)) await backstage.passDeadline(bookingId);
    await backstage.passStart((await world.booking(started)).conference_name);
    world.api.close();
    await before.stop();
  }

  async function send(drawn: Drawn): Promise<void> {
    const request = await prepare(drawn, backstage, authorize);
    let answer: Answer | null = null;
    try {
      const { method, body } = request;
      answer = await api.sendRaw(method, targetOf(request), headersOf(request), body);
      judge.judge(request, answer);
    } catch (error) {
      throw new Error(`${described(request, answer)}\n${(error as Error).message}`, { cause: error });
    }
  }

  it(
    `is answered as documented, ${runs} times`,
    async () => {
      process.stdout.write(`The seed of these requests: FUZZ_SEED=${SEED}\n`);
      const run = await fc.check(fc.asyncProperty(requests(operations), send), {
        numRuns: runs,
        seed: SEED,
        interruptAfterTimeLimit: TIMEOUT_MS - 10_000,
        markInterruptAsFailure: true,
      });
      if (run.failed) throw new Error(`after ${run.numRuns} requests:\n${(run.errorInstance as Error).message}`);
      for (const { name, responses } of operations) {
        const seen = judge.seen.get(name) ?? new Map<number, number>();
        process.stdout.write(`${name} ${JSON.stringify([...seen].sort())}\n`);
        const granted = [...seen].filter(([status]) => status < 300).reduce((sum, [, count]) => sum + count, 0);
        // What is always refused would prove little, and so would refusals that never come.
        expect([name, granted >= LEAST_GRANTED]).toEqual([name, true]);
        const missing = [...responses.keys()].filter((status) => !seen.has(status) && !never.includes(status));
        expect([name, missing]).toEqual([name, []]);
      }
      expect(judge.misses).toBeGreaterThan(runs / 20);
    },
    TIMEOUT_MS,
  );
});

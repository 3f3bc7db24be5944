import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { openOffers, Queues, visit } from './support.js';

const MESSAGES = Number(process.env.FUZZ_RUNS ?? 3_000);
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_124);
/** Offers stand longer than this takes: no message may end one. */
const WINDOW_SECONDS = 3_600;
const OFFERS = 5;
/** In every message that has room for it; no line of the log may have it. */
const SECRET = 'whoseSecretIsThis';
const RESIDENT_AT_MOST_MB = 300;
const PATTERNS = ['confirmation.expired', 'conference.starts'];

/** What stands on the queue, and whether it is a timer. */
interface Message {
  content: Buffer;
  headers: Record<string, unknown>;
  isTimer: boolean;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(null, '', -1, 0.5, true, [], {}, SECRET, 2 ** 31, 'toString'),
);

const pattern = fc.constantFrom(...PATTERNS);
/** Of a conference that is there, or of any other. */
const conferenceId = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2_147_483_647 }));
const dueAt = fc
  .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map((date) => date.toISOString());
/** Members that a newer version may send. */
const more = fc.dictionary(fc.constantFrom('id', 'hops', '__proto__', SECRET), odd, { maxKeys: 2 });

const timer = fc
  .record({ pattern, conference_id: conferenceId, due_at: dueAt, beside: more, within: more })
  .map(({ pattern: name, beside, within, ...data }) =>
    json({ ...beside, pattern: name, data: { ...within, ...data } }),
  );

const noInstant = fc.oneof(
  odd,
  fc.constantFrom('soon', '2027-02-30T10:15:30.000Z', '2027-01-15 10:15:30', '2027-01-15T10:15:30Z', SECRET),
);
const noId = fc.oneof(
  odd.filter((value) => !(Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 2_147_483_647)),
  fc.constantFrom(0, -1, 1.5, 2_147_483_648, '1', 1e300),
);
const malformed = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([Buffer.from([0xff, 0xfe]), bytes])),
  fc.string({ maxLength: 300 }).map((text) => Buffer.from(`${SECRET} ${text}`)),
  odd.map(json),
  fc.integer({ min: 1, max: 4_000 }).map((depth) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))),
  fc
    .integer({ min: 1_000, max: 65_000 })
    .map((length) => json({ pattern: SECRET.repeat(length / SECRET.length), data: {} })),
  fc.record({ pattern: odd, data: odd }).map(json),
  fc.record({ pattern, data: odd }).map(json),
  fc.record({ pattern, id: odd, data: fc.record({ conference_id: noId, due_at: dueAt }) }).map(json),
  fc.record({ pattern, data: fc.record({ conference_id: conferenceId, due_at: noInstant }) }).map(json),
);
/** Others' headers make no message another one. */
const headers = fc.oneof(
  fc.constant({}),
  fc.dictionary(fc.constantFrom('x-request-id', 'traceparent', 'x-death', 'x'), fc.oneof(fc.string(), fc.integer()), {
    maxKeys: 3,
  }),
);
const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ content: timer, headers, isTimer: fc.constant(true) }),
  fc.record({ content: malformed, headers, isTimer: fc.constant(false) }),
);

describe('whatever stands on the queue', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let service: Service;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    service = await startService({ DATABASE_URL: database.url, LOG_LEVEL: 'debug', ...queues.env }, { until: 'ready' });
    await queues.whenConsumed();
  });

  afterAll(async () => {
    await service.stop();
    await queues.close();
    await backstage.close();
    await database.drop();
  });

  it(`changes no seat, and harms nobody: ${MESSAGES} messages`, async () => {
    process.stdout.write(`The seed of these messages: FUZZ_SEED=${SEED}\n`);
    const world = visit(service);
    await openOffers(world, OFFERS);
    world.api.close();
    const seats = (): Promise<unknown[]> =>
      backstage.query(
        'SELECT booking_id, status, queue_ticket, confirmation_deadline FROM bookings ORDER BY booking_id',
      );
    const before = await seats();

    const drawn = fc.sample(messages, { numRuns: MESSAGES, seed: SEED });
    const refused = drawn.filter(({ isTimer }) => !isTimer).length;
    expect(Math.min(refused, MESSAGES - refused)).toBeGreaterThan(MESSAGES / 10);
    for (const { content, headers: sent } of drawn) queues.send(content, { headers: sent });

    await eventually(async () => expect([await queues.countParked(), await queues.countDue()]).toEqual([refused, 0]), {
      timeoutMs: 30_000,
    });
    const ready = await fetch(`${service.url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ok', database: 'up', broker: 'up' }]);
    const kib = Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${service.pid}/status`, 'utf8'))?.[1]);
    expect(kib / 1_024).toBeLessThan(RESIDENT_AT_MOST_MB);

    expect(await seats()).toEqual(before);
    expect(await backstage.brokenRules()).toEqual([]);
    // What was in hand is dealt with: nothing comes back when the service goes.
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect([await queues.countParked(), await queues.countDue()]).toEqual([refused, 0]);
    expect(service.output()).not.toContain(SECRET);
    expect(service.output()).not.toMatch(/"level":[56]0/);
  });
});

import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';

const MINUTE_MS = 60_000;
/** How late it may be noticed that somebody is too late, and some time for a machine that has other things to do. */
const SLACK_MS = 3_000;
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
/** Longer than a request may take to arrive: who rests between two requests is not slow. */
const REST_MS = 35_000;
const DRIP_MS = 250;
const SLOW = 40;

const POST = 'POST /user HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n';
const TOO_SLOW = { message: 'The request took too long to arrive: send it again', code: 'REQUEST_TIMED_OUT' };

interface Cut {
  answer: string;
  afterMs: number;
}

/** All of them at once, from the beginning: what each came to is told by its own test. */
describe('slow clients', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let service: Service;
  let api: ApiClient;
  const sockets: Socket[] = [];
  const came: Record<string, Promise<Cut[]>> = {};
  let rested: Promise<string>;
  let limited: { since: number; seconds: number };

  const open = (): Socket => {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    return socket;
  };

  /** Sends this at once, and then a byte at a time, until it is cut. */
  async function drip(start: string, bytes: () => string): Promise<Cut> {
    const socket = open();
    const since = performance.now();
    let answer = '';
    socket.on('data', (piece: Buffer) => (answer += piece.toString()));
    if (start !== '') socket.write(start);
    while (!socket.destroyed) {
      const next = bytes();
      if (next !== '') socket.write(next);
      await pause(DRIP_MS);
    }
    return { answer, afterMs: performance.now() - since };
  }

  /** One request on a connection that stays open. */
  function askOn(socket: Socket): Promise<string> {
    return new Promise((resolve) => {
      socket.once('data', (piece: Buffer) => resolve(piece.toString()));
      socket.once('close', () => resolve('closed'));
      socket.write('GET /conferences HTTP/1.1\r\nHost: h\r\n\r\n');
    });
  }

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    service = await startService(
      { DATABASE_URL: database.url, ENABLE_QUEUE_CONSUMERS: 'false', RATE_LIMIT_PER_MINUTE: '200', TRUST_PROXY: '1' },
      { until: 'ready' },
    );
    api = new ApiClient(new URL(service.url));

    const many = (start: string, bytes: () => string): Promise<Cut[]> =>
      Promise.all(Array.from({ length: SLOW }, () => drip(start, bytes)));
    came.silent = many('', () => '');
    came.headers = many('GET /conferences HTTP/1.1\r\nX-Slow: ', () => 'a');
    came.body = many(`${POST}Content-Length: 60000\r\n\r\n`, () => ' ');
    came.chunks = many(`${POST}Transfer-Encoding: chunked\r\n\r\n`, () => '1\r\n \r\n');

    const resting = open();
    expect(await askOn(resting)).toMatch(/^HTTP\/1\.1 200 /);
    rested = pause(REST_MS).then(() => askOn(resting));

    const since = performance.now();
    let last = await api.sendRaw('GET', '/conferences', { 'x-forwarded-for': '203.0.113.1' });
    while (last.status === 200) last = await api.sendRaw('GET', '/conferences', { 'x-forwarded-for': '203.0.113.1' });
    limited = { since, seconds: Number(last.headers['retry-after']) };
  }, MINUTE_MS);

  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    api.close();
    await service.stop();
    await backstage.close();
    await database.drop();
    // None of it is a mistake of the service.
    expect(service.output()).not.toMatch(/"level":[56]0/);
  });

  it('hold nobody up', async () => {
    const users = await backstage.addUsers('quick', 40);
    await backstage.addConference('Quick', 10);
    for (const user of users) {
      const { ok, answer } = await api.book(user, 'Quick');
      expect([ok, answer.durationMs < 1_000]).toEqual([true, true]);
    }
  });

  it.each([
    ['silent', HEADERS_MS],
    ['headers', HEADERS_MS],
    ['body', REQUEST_MS],
    ['chunks', REQUEST_MS],
  ])(
    'are answered 408 and cut: %s',
    async (what, mostMs) => {
      for (const { answer, afterMs } of (await came[what]) ?? []) {
        expect(afterMs).toBeGreaterThan(mostMs - 100);
        expect(afterMs).toBeLessThan(mostMs + SLACK_MS);
        const [head = '', body = ''] = answer.split('\r\n\r\n');
        expect(head).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nContent-Type: application\/json\r\n/);
        expect(JSON.parse(body)).toEqual(TOO_SLOW);
      }
    },
    MINUTE_MS,
  );

  it(
    'are not those who rest between two requests',
    async () => {
      expect(await rested).toMatch(/^HTTP\/1\.1 200 /);
    },
    MINUTE_MS,
  );

  it(
    'may come again as soon as they were told, where they were too quick',
    async () => {
      expect(limited.seconds).toBeGreaterThan(50);
      await eventually(
        async () => {
          const { status } = await api.sendRaw('GET', '/conferences', { 'x-forwarded-for': '203.0.113.1' });
          expect(status).toBe(200);
        },
        { timeoutMs: MINUTE_MS + SLACK_MS, intervalMs: 250 },
      );
      const afterMs = performance.now() - limited.since;
      expect(afterMs).toBeGreaterThan(MINUTE_MS - 1_000);
      expect(afterMs).toBeLessThan(MINUTE_MS + SLACK_MS);
    },
    2 * MINUTE_MS,
  );
});

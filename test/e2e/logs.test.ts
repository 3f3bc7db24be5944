import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect } from 'amqplib';
import { findFreePort } from '../../src/database/postgres-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { linesCausedBy, linesOf, type LogLine } from '../support/log-lines.js';
import { type Service, startService } from '../support/processes.js';
import { startProxy } from '../support/proxy.js';
import { Backstage } from '../support/seating.js';
import { Queues } from './support.js';

const WINDOW_SECONDS = 0.4;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const INFO = 30;
const DEBUG = 20;

interface Reply {
  status: number;
  requestId: string | null;
  body: Record<string, unknown>;
}

async function send(url: string, path: string, body?: object | string, headers: object = {}): Promise<Reply> {
  const response = await fetch(url + path, {
    ...(body === undefined
      ? { headers: { ...headers } }
      : {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return {
    status: response.status,
    requestId: response.headers.get('x-request-id'),
    body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}

describe('the log', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let service: Service;
  let round = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    service = await startService(
      // Nothing but timers keeps time, and all levels are written.
      { DATABASE_URL: database.url, ...queues.env, SWEEP_INTERVAL_SECONDS: '3600', LOG_LEVEL: 'trace' },
      { until: 'ready' },
    );
    await queues.whenConsumed();
  });
  afterAll(async () => {
    await service.stop();
    await queues.close();
    await backstage.close();
    await database.drop();
  });

  const post = (path: string, body: object | string, requestId?: string): Promise<Reply> =>
    send(service.url, path, body, requestId === undefined ? {} : { 'x-request-id': requestId });

  /** A conference of so many slots, all taken, and as many people and one more in its line. */
  async function stage(slots = 1): Promise<{ id: number; name: string; confirmed: number[]; waiting: number[] }> {
    const name = `Logged ${++round}`;
    const id = await backstage.addConference(name, slots);
    const users = await backstage.addUsers(`logged${round}u`, 2 * slots + 1);
    const bookings: number[] = [];
    for (const user_id of users) bookings.push(Number((await post('/book', { user_id, name })).body.booking_id));
    return { id, name, confirmed: bookings.slice(0, slots), waiting: bookings.slice(slots) };
  }

  /** What the timers' handler says that the request caused: once for each time it looked. */
  const handled = (requestId: string, of: Service = service): LogLine[] =>
    linesCausedBy(of, requestId).filter(({ context }) => context === 'TimersController');

  describe('the id of a request', () => {
    it('is taken from X-Request-Id, or made, and returned', async () => {
      expect(await send(service.url, '/conferences', undefined, { 'x-request-id': 'Ab.9_-' })).toMatchObject({
        status: 200,
        requestId: 'Ab.9_-',
      });
      const made = [await send(service.url, '/conferences'), await send(service.url, '/conferences')];
      for (const { requestId } of made) expect(requestId).toMatch(UUID);
      expect(made[0]?.requestId).not.toBe(made[1]?.requestId);
    });

    it.each(['', 'a b', 'x'.repeat(129), 'evil,other', '{"a":1}', 'é'])(
      'is made anew where %j came',
      async (unsafe) => {
        const { requestId } = await send(service.url, '/conferences', undefined, { 'x-request-id': unsafe });
        expect(requestId).toMatch(UUID);
      },
    );

    it.each<{ what: string; status: number; path: string; body?: string | object; headers?: object }>([
      { what: 'what is not found', status: 404, path: '/nowhere' },
      { what: 'a booking that is not there', status: 404, path: '/booking/999999999' },
      { what: 'malformed JSON', status: 400, path: '/book', body: '{"user_id":' },
      { what: 'a wrong body', status: 400, path: '/book', body: { user_id: 7 } },
      { what: 'another type', status: 415, path: '/book', body: 'x', headers: { 'content-type': 'text/plain' } },
      { what: 'too large a body', status: 413, path: '/book', body: `{"user_id":"${'x'.repeat(70_000)}"}` },
      { what: 'a path that cannot be read', status: 400, path: '/booking/%zz' },
      { what: 'a path that is too long', status: 404, path: `/booking/${'9'.repeat(1_000)}` },
      { what: 'the health', status: 200, path: '/health/live' },
      { what: 'the documentation', status: 200, path: '/docs' },
    ])('is on the answer to $what', async ({ status, path, body, headers }) => {
      const id = `answer-${++round}`;
      expect(await send(service.url, path, body, { ...headers, 'x-request-id': id })).toMatchObject({
        status,
        requestId: id,
      });
      await eventually(() => expect(linesCausedBy(service, id)).toEqual([expect.objectContaining({ status })]));
    });

    it('is on the answer to what is no HTTP', async () => {
      const socket = connectTcp(Number(new URL(service.url).port), '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.write('NONSENSE\r\n\r\n');
      await once(socket, 'close');
      const id = /\r\nX-Request-Id: (\S+)\r\n/.exec(answer)?.[1] ?? '';
      expect(id).toMatch(UUID);
      await eventually(() =>
        expect(linesCausedBy(service, id)).toEqual([
          expect.objectContaining({ level: INFO, status: 400, method: null, address: '127.0.0.1' }),
        ]),
      );
    });
  });

  describe('the line of a request', () => {
    it('says what it was and how it ended, and nothing of what was in it', async () => {
      const { name } = await stage();
      const [user_id = ''] = await backstage.addUsers(`line${round}u`, 1);
      const { body } = await post('/book', { user_id, name }, 'line-of-a-booking');
      await send(service.url, `/booking/${String(body.booking_id)}?x=1`, undefined, {
        'x-request-id': 'line-of-a-look',
      });
      const [number, text] = [expect.any(Number) as unknown, expect.any(String) as unknown];
      const own = { time: number, pid: service.pid, hostname: text, ms: number };
      const shared = { ...own, level: INFO, context: 'Http', address: '127.0.0.1' };
      await eventually(() => expect(linesCausedBy(service, 'line-of-a-look')).toHaveLength(1));
      expect(linesCausedBy(service, 'line-of-a-booking')).toEqual([
        {
          ...shared,
          requestId: 'line-of-a-booking',
          method: 'POST',
          route: '/book',
          path: '/book',
          status: 201,
          msg: 'POST /book 201',
        },
      ]);
      const path = `/booking/${String(body.booking_id)}`;
      expect(linesCausedBy(service, 'line-of-a-look')).toEqual([
        {
          ...shared,
          requestId: 'line-of-a-look',
          method: 'GET',
          route: '/booking/:booking_id',
          path,
          status: 200,
          msg: `GET ${path} 200`,
        },
      ]);
    });

    it('names no path that is no route', async () => {
      await send(service.url, '/secret/of/somebody', undefined, { 'x-request-id': 'nowhere' });
      await eventually(() =>
        expect(linesCausedBy(service, 'nowhere')).toEqual([
          expect.objectContaining({ status: 404, route: null, path: null }),
        ]),
      );
    });

    it('is for whoever debugs where it was about the health', async () => {
      await send(service.url, '/health/ready', undefined, { 'x-request-id': 'health' });
      await eventually(() => expect(linesCausedBy(service, 'health')).toMatchObject([{ level: DEBUG, status: 200 }]));
    });

    it('is there when the client is gone before the answer', async () => {
      const { id, name } = await stage();
      const [user_id] = await backstage.addUsers(`gone${round}u`, 1);
      const release = await backstage.holdConference(id);
      const leaving = new AbortController();
      const request = fetch(`${service.url}/book`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': 'gone' },
        body: JSON.stringify({ user_id, name }),
        signal: leaving.signal,
      }).catch(() => undefined);
      await backstage.whenWaitedFor();
      leaving.abort();
      await request;
      await eventually(() =>
        expect(linesCausedBy(service, 'gone')).toEqual([expect.objectContaining({ status: null, aborted: true })]),
      );
      await release();
    });

    it('comes with one of the mistake, where the service made one', async () => {
      await backstage.query('ALTER TABLE conferences RENAME COLUMN location TO hidden');
      try {
        expect(await send(service.url, '/conferences', undefined, { 'x-request-id': 'mistake' })).toMatchObject({
          status: 500,
        });
      } finally {
        await backstage.query('ALTER TABLE conferences RENAME COLUMN hidden TO location');
      }
      await eventually(() =>
        expect(linesCausedBy(service, 'mistake')).toMatchObject([{ level: 50 }, { level: INFO, status: 500 }]),
      );
    });
  });

  describe('what a request caused', () => {
    it('bears its id: the handler of the timer of the offer, and of the next one', async () => {
      const { id, confirmed } = await stage();
      await post('/cancel', { booking_id: confirmed[0] }, 'chain');
      await eventually(() => {
        const lines = handled('chain').filter(({ msg }) => msg.endsWith(', due'));
        expect(lines.length).toBeGreaterThanOrEqual(3);
        for (const { msg } of lines) expect(msg).toBe(`confirmation.expired: looked at conference ${id}, due`);
      });
    });

    it('bears the id of whoever declined', async () => {
      const { confirmed, waiting } = await stage();
      await post('/cancel', { booking_id: confirmed[0] }, 'canceling');
      await post('/cancel', { booking_id: waiting[0] }, 'declining');
      await eventually(() => expect(handled('declining')).not.toEqual([]));
    });

    it('bears the ids of all who led to the same timer', async () => {
      const { confirmed } = await stage(20);
      const ids = confirmed.map((bookingId) => `together-${bookingId}`);
      await Promise.all(confirmed.map((booking_id, index) => post('/cancel', { booking_id }, ids[index])));
      await eventually(() => {
        for (const id of ids) expect(handled(id)).not.toEqual([]);
      });
    });

    it('bears its id after a re-hop', async () => {
      await post(
        '/conference',
        {
          name: 'Rehopped',
          location: 'Hall 5',
          start: new Date(Date.now() + 2_600).toISOString(),
          end: new Date(Date.now() + 3_600_000).toISOString(),
          slots: 1,
          topics: ['hops'],
        },
        'rehopped',
      );
      await eventually(() => {
        const messages = handled('rehopped').map(({ msg }) => msg);
        // Twice from the queue of 1 s, and then due.
        expect(messages.filter((msg) => msg.endsWith('ms early')).length).toBeGreaterThanOrEqual(2);
        expect(messages.at(-1)).toMatch(/^conference\.starts: looked at conference \d+, due$/);
      });
    });

    it('bears its id where the timer was owed while the broker was away', async () => {
      const proxy = await startProxy(new URL(queues.env.RABBITMQ_URL ?? ''));
      const url = new URL(queues.env.RABBITMQ_URL ?? '');
      url.host = `127.0.0.1:${proxy.port}`;
      const other = await startService(
        // It publishes, and the other one consumes.
        { DATABASE_URL: database.url, ...queues.env, RABBITMQ_URL: url.href, ENABLE_QUEUE_CONSUMERS: 'false' },
        { until: 'ready' },
      );
      try {
        await eventually(() => expect(other.output()).toContain('connected to the broker'));
        const { confirmed } = await stage();
        proxy.blackHole();
        await send(other.url, '/cancel', { booking_id: confirmed[0] }, { 'x-request-id': 'owed' });
        // What it has sent is lost: only what it still owes can arrive.
        await eventually(() => expect(other.output()).toContain('the broker does not confirm'));
        proxy.cutAll();
        proxy.heal();
        await eventually(() => expect(handled('owed')).not.toEqual([]), { timeoutMs: 20_000 });
      } finally {
        await other.stop();
        await proxy.close();
      }
    });

    it('has an id of its own where a message names none, or none that may be repeated', async () => {
      const { id } = await stage();
      const connection = await connect(queues.env.RABBITMQ_URL ?? '');
      const channel = await connection.createConfirmChannel();
      const data = { conference_id: id, due_at: new Date(Date.now() - 1_000).toISOString() };
      const content = Buffer.from(JSON.stringify({ pattern: 'confirmation.expired', data }));
      const garbage = [undefined, '<script>', 7, true, 'a'.repeat(20_000), { a: ['b'] }, ['x']];
      const before = linesOf(service).length;
      for (const value of garbage) {
        const headers = value === undefined ? {} : { 'x-request-id': value, traceparent: value };
        channel.sendToQueue(`${queues.env.RABBITMQ_QUEUE_PREFIX ?? ''}.timers`, content, { headers });
      }
      await channel.waitForConfirms();
      await connection.close();
      await eventually(() => {
        const lines = linesOf(service)
          .slice(before)
          .filter(({ msg }) => msg === `confirmation.expired: looked at conference ${id}, due`);
        expect(lines).toHaveLength(garbage.length);
        for (const { requestId } of lines) expect(requestId).toMatch(UUID);
        expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(lines.length);
      });
    });

    it('has an id of its own where the sweep found it', async () => {
      const other = await startService(
        { DATABASE_URL: database.url, CONFIRMATION_WINDOW_SECONDS: '0.2', LOG_LEVEL: 'debug' },
        { until: 'ready' },
      );
      try {
        const { id, confirmed } = await stage();
        await send(other.url, '/cancel', { booking_id: confirmed[0] }, { 'x-request-id': 'not-the-sweep' });
        await eventually(() => {
          const swept = linesOf(other).find(({ msg }) => msg === `looking at conference ${id}`);
          expect(swept?.requestId).toMatch(UUID);
        });
        expect(linesCausedBy(other, 'not-the-sweep')).toHaveLength(1);
      } finally {
        await other.stop();
      }
    });
  });

  it('holds no token, no key, no query and no body', async () => {
    const { name } = await stage();
    const secrets = ['tokenSecret', 'cookieSecret', 'keySecret', 'querySecret', 'bodySecret', 'pathSecret'];
    const headers = {
      authorization: 'Bearer tokenSecret.tokenSecret.tokenSecret',
      cookie: 'session=cookieSecret',
      'idempotency-key': 'keySecret',
      'x-api-key': 'tokenSecret',
    };
    const bodies = [
      { user_id: 'bodySecret', name },
      { user_id: 'bodySecret', name, bodySecret: 'bodySecret' },
      '{"user_id":"bodySecret',
      '{"__proto__":{"bodySecret":1}}',
      { booking_id: 'bodySecret' },
      { user_id: 'bodySecret', topics: ['bodySecret'] },
      { user_id: 'bodySecret\u0000', topics: ['x'] },
    ];
    const ids: string[] = [];
    const tell = (): object => {
      ids.push(`secrets-${ids.length}`);
      return { ...headers, 'x-request-id': ids.at(-1) };
    };
    for (const path of ['/user', '/book', '/confirm', '/cancel', '/conference', '/pathSecret/x']) {
      for (const body of bodies) {
        await send(service.url, `${path}?token=querySecret`, body, tell());
      }
      await send(service.url, `${path}?token=querySecret`, 'bodySecret', { ...tell(), 'content-type': 'text/plain' });
      await send(service.url, `${path}?token=querySecret`, undefined, tell());
    }
    await send(service.url, '/conferences?topic=querySecret&limit=querySecret', undefined, tell());
    await send(service.url, '/booking/%zz?querySecret', undefined, tell());
    // What fails inside, too.
    await backstage.query('ALTER TABLE users RENAME COLUMN user_id TO hidden');
    try {
      for (const path of ['/user', '/book']) {
        const body = { user_id: 'bodySecret', ...(path === '/user' ? { topics: ['bodySecret'] } : { name }) };
        expect(
          await send(service.url, `${path}?token=querySecret`, body, { ...tell(), 'idempotency-key': 'keySecret2' }),
        ).toMatchObject({ status: 500 });
      }
    } finally {
      await backstage.query('ALTER TABLE users RENAME COLUMN hidden TO user_id');
    }
    await eventually(() => {
      for (const id of ids) expect(linesCausedBy(service, id)).not.toEqual([]);
    });
    for (const secret of secrets) expect(service.output()).not.toContain(secret);
  });
});

describe('what is written', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  it('is there at the end, also of a process that fails', async () => {
    const onSignal = `process.on('SIGUSR2',()=>{throw new Error('felled by the test')})`;
    for (const signal of ['SIGTERM', 'SIGUSR2'] as const) {
      const service = await startService(
        { DATABASE_URL: database.url, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(onSignal)}` },
        { until: 'ready' },
      );
      await send(service.url, '/conferences', undefined, { 'x-request-id': 'last' });
      const exit = await service.stop(signal);
      expect(exit.code).toBe(signal === 'SIGTERM' ? 0 : 1);
      expect(linesCausedBy(service, 'last')).toHaveLength(1);
    }
  });

  it('holds nobody up where it is not read: what is too much is dropped, and counted', async () => {
    const port = await findFreePort();
    const child = spawn(process.execPath, [join(resolve(__dirname, '../..'), 'dist', 'main.js')], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, DATABASE_URL: database.url, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    try {
      // Until it is read, nothing is taken from the pipe but what fits into this side's buffer.
      await eventually(async () => expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200));
      const requests = 24_000;
      await sendMany(port, requests);
      const startedAt = performance.now();
      expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(1_000);

      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await eventually(() => {
        const lines = linesOf({ output: () => output });
        const dropped = lines.reduce((sum, { dropped: count }) => sum + Number(count ?? 0), 0);
        expect(dropped).toBeGreaterThan(0);
        expect(dropped + lines.filter(({ status }) => status === 404).length).toBe(requests);
      });
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  });
});

/** Asks for what is not there, so many times, by way of eight connections, and waits for all answers. */
async function sendMany(port: number, count: number): Promise<void> {
  const each = count / 8;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const socket = connectTcp(port, '127.0.0.1');
      let answers = 0;
      let rest = '';
      const done = new Promise<void>((settle, fail) => {
        socket.on('error', fail);
        socket.on('data', (chunk: Buffer) => {
          const parts = (rest + chunk.toString('latin1')).split('HTTP/1.1 404 ');
          answers += parts.length - 1;
          rest = (parts.at(-1) ?? '').slice(-20);
          if (answers >= each) settle();
        });
      });
      socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(each));
      await done;
      socket.destroy();
    }),
  );
}

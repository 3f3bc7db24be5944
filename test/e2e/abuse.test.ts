import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Answer, ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';

const MOST = 20;
const ORIGIN = 'https://tickets.example.com';
const BODY_MOST = 64 * 1_024;

const STRICT = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

describe('abuse', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  const services: Service[] = [];
  const apis: ApiClient[] = [];

  async function start(env: Record<string, string>): Promise<{ service: Service; api: ApiClient }> {
    const service = await startService(
      { DATABASE_URL: database.url, ENABLE_QUEUE_CONSUMERS: 'false', AUTH_MODE: 'off', ...env },
      { until: 'ready' },
    );
    services.push(service);
    const api = new ApiClient(new URL(service.url), 300);
    apis.push(api);
    return { service, api };
  }

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
  });
  afterAll(async () => {
    for (const api of apis) api.close();
    for (const service of services) await service.stop();
    await backstage.close();
    await database.drop();
  });

  describe('in production, with what is the default there', () => {
    let api: ApiClient;
    beforeAll(async () => ({ api } = await start({ NODE_ENV: 'production' })));

    it('300 requests at once from one address are served', async () => {
      await backstage.addConference('Burst', 100);
      const users = await backstage.addUsers('burst', 150);
      const answers = await Promise.all(
        users.flatMap((user) => [
          api.book(user, 'Burst').then(({ answer }) => answer),
          api.send('GET', '/conference/Burst'),
        ]),
      );
      const counts = new Map<number, number>();
      for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
      expect(Object.fromEntries(counts)).toEqual({ 200: 150, 201: 150 });
      expect(answers.every(({ headers }) => headers['ratelimit-limit'] === '1200')).toBe(true);
      expect(Math.min(...answers.map(({ headers }) => Number(headers['ratelimit-remaining'])))).toBe(900);
    });
  });

  describe('behind one proxy, where 20 requests a minute are allowed', () => {
    let api: ApiClient;
    let service: Service;
    let clients = 0;
    beforeAll(async () => {
      ({ api, service } = await start({
        RATE_LIMIT_PER_MINUTE: String(MOST),
        TRUST_PROXY: '1',
        CORS_ORIGINS: `http://localhost:3000,${ORIGIN}`,
      }));
    });

    /** An address that no other test has. */
    const newClient = (): string => `203.0.113.${++clients}`;
    const look = (address: string, headers: Record<string, string> = {}, path = '/conferences'): Promise<Answer> =>
      api.sendRaw('GET', path, { 'x-forwarded-for': address, ...headers });
    const exhaust = async (address: string): Promise<void> => {
      for (let count = 0; count < MOST; count++) expect((await look(address)).status).toBe(200);
    };

    it('one more is refused, told when to come again, and nobody else is', async () => {
      const client = newClient();
      for (let left = MOST - 1; left >= 0; left--) {
        expect((await look(client)).headers).toMatchObject({
          'ratelimit-limit': String(MOST),
          'ratelimit-remaining': String(left),
          'ratelimit-reset': expect.stringMatching(/^[1-6]?\d$/) as string,
        });
      }
      const { status, headers, body } = await look(client);
      const seconds = headers['retry-after'];
      expect(status).toBe(429);
      expect(Number(seconds)).toBeGreaterThan(0);
      expect(Number(seconds)).toBeLessThanOrEqual(60);
      expect(headers).toMatchObject({
        'ratelimit-limit': String(MOST),
        'ratelimit-remaining': '0',
        'ratelimit-reset': seconds,
        'content-type': expect.stringMatching(/^application\/json/) as string,
      });
      expect(body).toEqual({ message: `Too many requests: come again in ${seconds} s`, code: 'RATE_LIMITED' });
      expect((await look(newClient())).status).toBe(200);
    });

    it('so many are served where more come at once', async () => {
      const client = newClient();
      const answers = await Promise.all(Array.from({ length: MOST + 5 }, () => look(client)));
      const served = answers.filter(({ status }) => status === 200);
      expect(served.map(({ headers }) => Number(headers['ratelimit-remaining'])).sort((a, b) => b - a)).toEqual(
        Array.from({ length: MOST }, (_, index) => MOST - 1 - index),
      );
    });

    it('what is refused is not done', async () => {
      const client = newClient();
      await exhaust(client);
      const headers = { 'x-forwarded-for': client, 'content-type': 'application/json' };
      const user = { user_id: 'refused1', topics: ['all'] };
      expect((await api.sendRaw('POST', '/user', headers, JSON.stringify(user))).status).toBe(429);
      expect(await backstage.query('SELECT FROM users WHERE user_id = $1', [user.user_id])).toEqual([]);
    });

    it('made-up tokens are no way out', async () => {
      const client = newClient();
      const statuses: number[] = [];
      for (let count = 0; count < 2 * MOST; count++) {
        statuses.push((await look(client, { authorization: `Bearer made-up-${count}` })).status);
      }
      expect(statuses.slice(MOST)).toEqual(Array.from({ length: MOST }, () => 429));
    });

    it('neither is what a client puts before the address that the proxy adds', async () => {
      const client = newClient();
      await exhaust(`198.51.100.1, ${client}`);
      expect((await look(`198.51.100.2, ${client}`)).status).toBe(429);
    });

    it('what is not found, or cannot be read, counts like everything else', async () => {
      const client = newClient();
      for (let count = 0; count < MOST; count++) {
        const { status } = await look(client, {}, count % 2 === 0 ? '/nowhere' : '/booking/none');
        expect(status).toBe(count % 2 === 0 ? 404 : 400);
      }
      expect((await look(client, {}, '/nowhere')).status).toBe(429);
    });

    it('an IPv6 network of 64 bits is one caller', async () => {
      for (let count = 0; count < MOST; count++) {
        expect((await look(`2001:db8:1:2:${count}::${count}`)).status).toBe(200);
      }
      expect((await look('2001:db8:1:2:ffff::1')).status).toBe(429);
      expect((await look('2001:db8:1:3::1')).status).toBe(200);
    });

    it('an address is the same in IPv4 and where IPv6 carries it', async () => {
      const client = newClient();
      await exhaust(`::ffff:${client}`);
      expect((await look(client)).status).toBe(429);
      expect((await look(`::ffff:${newClient()}`)).status).toBe(200);
    });

    it('the health is never limited, and does not count', async () => {
      const client = newClient();
      const before = (await look(client)).headers['ratelimit-remaining'];
      for (let count = 0; count < 2 * MOST; count++) {
        const { status, headers } = await look(client, {}, count % 2 === 0 ? '/health/live' : '/health/ready');
        expect(status).toBe(200);
        expect(headers).not.toHaveProperty('ratelimit-limit');
      }
      expect((await look(client)).headers['ratelimit-remaining']).toBe(String(Number(before) - 1));
    });

    describe('pages of the origins that are named', () => {
      const ask = (origin: string): Promise<Answer> =>
        api.sendRaw('OPTIONS', '/book', {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type,idempotency-key',
        });

      it('may ask', async () => {
        const { status, headers } = await ask(ORIGIN);
        expect(status).toBe(204);
        expect(headers).toMatchObject({
          'access-control-allow-origin': ORIGIN,
          'access-control-allow-methods': 'GET, POST',
          'access-control-allow-headers': 'Authorization, Content-Type, Idempotency-Key, X-Request-Id',
          vary: 'Origin',
        });
        expect(headers).not.toHaveProperty('access-control-allow-credentials');
      });

      it('may read what they are answered, also that it was too much', async () => {
        const client = newClient();
        const headers = {
          'access-control-allow-origin': ORIGIN,
          'access-control-expose-headers':
            'RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Link, Idempotency-Replayed, X-Request-Id',
        };
        expect(await look(client, { origin: ORIGIN })).toMatchObject({ status: 200, headers });
        await exhaust(newClient());
        for (let count = 1; count < MOST; count++) await look(client);
        expect(await look(client, { origin: ORIGIN })).toMatchObject({ status: 429, headers });
      });

      it.each([
        'https://evil.example.com',
        'https://tickets.example.com.evil.example',
        'http://tickets.example.com',
        'null',
      ])('may not, where they come from %s', async (origin) => {
        expect((await ask(origin)).headers).not.toHaveProperty('access-control-allow-origin');
        const { status, headers } = await look(newClient(), { origin });
        expect(status).toBe(200);
        expect(headers).not.toHaveProperty('access-control-allow-origin');
      });
    });

    describe('security headers', () => {
      it.each([
        [200, '/conferences'],
        [200, '/health/live'],
        [200, '/docs-json'],
        [400, '/booking/none'],
        [400, '/conference/%'],
        [404, '/booking/9007199254740991'],
        [404, '/nowhere'],
        [404, `/conference/${'n'.repeat(4_000)}`],
      ])('are on a %i: GET %s', async (status, path) => {
        const headers = path.startsWith('/docs') ? { 'x-content-type-options': 'nosniff' } : STRICT;
        expect(await look(newClient(), {}, path)).toMatchObject({ status, headers });
      });

      it('are on a list that streams, and on a 429', async () => {
        await backstage.addConference('Streamed', 1);
        const client = newClient();
        expect(await look(client, {}, '/conference/Streamed/bookings')).toMatchObject({ status: 200, headers: STRICT });
        for (let count = 1; count < MOST; count++) await look(client);
        expect(await look(client)).toMatchObject({ status: 429, headers: STRICT });
      });

      it('let Swagger UI be what it is, and nothing else', async () => {
        const client = newClient();
        const page = await look(client, {}, '/docs');
        expect(page.status).toBe(200);
        const policy = String(page.headers['content-security-policy']);
        expect(policy).toContain("default-src 'none'; script-src 'self'; ");
        expect(policy).not.toMatch(/script-src[^;]*unsafe|https?:|\*/);
        // Its policy forbids scripts in the page: there must be none but those with an address here.
        const scripts = String(page.body).match(/<script\b[^>]*>/g) ?? [];
        expect(scripts.length).toBeGreaterThan(0);
        for (const script of scripts) expect(script).toMatch(/ src=['"]?\.?\/?docs\//);
      });
    });

    it('takes a body of 64 KiB, and refuses one that is longer, also where its length is not told', async () => {
      const padded = (length: number): string => {
        const body = { user_id: 'a', topics: [''] };
        return JSON.stringify({ ...body, topics: ['b'.repeat(length - JSON.stringify(body).length)] });
      };
      const post = (body: string): Promise<Answer> =>
        api.sendRaw('POST', '/user', { 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1' }, body);
      expect(await post(padded(BODY_MOST))).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
      expect(await post(padded(BODY_MOST + 1))).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });

      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        'POST /user HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Type: application/json\r\n' +
          `Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n${(BODY_MOST + 1).toString(16)}\r\n${padded(BODY_MOST + 1)}\r\n`,
      );
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 413 [^]*"code":"BODY_TOO_LARGE"}/);
    });

    it('refuses a path and headers above 16 KiB', async () => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.end(`GET /${'a'.repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n`);
      expect(await text(socket)).toMatch(
        /^HTTP\/1\.1 400 [^]*{"message":"The path and the headers are too large: send at most 16 KiB","code":"MALFORMED_REQUEST"}$/,
      );
    });

    it('writes nothing of the service into an answer that is under way when what follows cannot be read', async () => {
      const conference = await backstage.addConference('Long', 1);
      await backstage.fillLine(conference, 'long', 30_000);
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      const got: Buffer[] = [];
      socket.on('error', () => undefined).on('data', (piece: Buffer) => got.push(piece));
      socket.write('GET /conference/Long/bookings HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n');
      await eventually(() => expect(got.length).toBeGreaterThan(0), { intervalMs: 1 });
      socket.write('nonsense\r\n\r\n');
      await new Promise((closed) => socket.once('close', closed));
      expect(Buffer.concat(got).toString()).not.toContain('MALFORMED_REQUEST');
    });
  });

  describe('where the proxies are named, and the client is none of them', () => {
    let api: ApiClient;
    let service: Service;
    beforeAll(async () => {
      ({ api, service } = await start({
        RATE_LIMIT_PER_MINUTE: String(MOST),
        TRUST_PROXY: '10.0.0.0/8, fd00::/8',
        MAX_CONNECTIONS: '10',
      }));
    });

    it('nobody escapes by an X-Forwarded-For', async () => {
      const statuses: number[] = [];
      for (let count = 0; count <= MOST; count++) {
        const headers = { 'x-forwarded-for': `203.0.113.${count}` };
        statuses.push((await api.sendRaw('GET', '/conferences', headers)).status);
      }
      expect(statuses).toEqual([...Array.from({ length: MOST }, () => 200), 429]);
    });

    it('there is no CORS where no origin is named', async () => {
      const headers = { origin: ORIGIN, 'access-control-request-method': 'GET' };
      const answer = await api.sendRaw('GET', '/health/live', headers);
      expect(answer.status).toBe(200);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(answer.headers).not.toHaveProperty('vary');
    });

    it('a connection above MAX_CONNECTIONS is closed, which is said once, and there is room again when one ends', async () => {
      const { port } = new URL(service.url);
      const open = (): ReturnType<typeof connect> => connect(Number(port), '127.0.0.1').on('error', () => undefined);
      const sockets = Array.from({ length: 20 }, () => {
        const socket = open();
        // Those that are let in are told nothing yet.
        return { socket, closed: new Promise((closed) => socket.once('close', closed)), isClosed: false };
      });
      for (const each of sockets) void each.closed.then(() => (each.isClosed = true));
      const left = (): number => sockets.filter(({ isClosed }) => !isClosed).length;
      await eventually(() => expect(left()).toBeLessThanOrEqual(10));
      // Some of the ten are connections that whoever asked before has left open.
      expect(left()).toBeGreaterThan(5);
      expect(service.output().match(/MAX_CONNECTIONS/g)).toHaveLength(1);
      for (const { socket } of sockets) socket.destroy();
      await eventually(async () => {
        const socket = open();
        socket.end('GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
        expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /);
      });
    });
  });

  describe('where the client is a proxy that is named', () => {
    it('whom it speaks for is believed', async () => {
      const { api } = await start({ RATE_LIMIT_PER_MINUTE: '1', TRUST_PROXY: '127.0.0.0/8' });
      for (const [address, status] of [
        ['203.0.113.1', 200],
        ['203.0.113.2', 200],
        ['203.0.113.1', 429],
      ] as const) {
        expect((await api.sendRaw('GET', '/conferences', { 'x-forwarded-for': address })).status).toBe(status);
      }
    });
  });

  describe('a user who may have two active bookings', () => {
    it('is told to cancel one before a third', async () => {
      const { api } = await start({ MAX_ACTIVE_BOOKINGS_PER_USER: '2' });
      const [user = ''] = await backstage.addUsers('eager', 1);
      for (const [index, name] of ['First', 'Second', 'Third'].entries()) {
        await backstage.addConference(name, 1, 1_000_000 + index * 3_600);
      }
      const first = await api.book(user, 'First');
      await api.book(user, 'Second');
      expect((await api.book(user, 'Third')).answer).toMatchObject({
        status: 400,
        body: {
          message:
            'User has as many active bookings as one user may have: cancel one, or book again when one of their conferences has ended',
          code: 'TOO_MANY_BOOKINGS',
        },
      });
      await api.cancel(first.ok ? first.body.booking_id : 0, user);
      expect((await api.book(user, 'Third')).answer.status).toBe(201);
    });
  });
});

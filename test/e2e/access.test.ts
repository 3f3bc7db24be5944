import { readFileSync } from 'node:fs';
import { type Answer, ApiClient } from '../../src/cli/api-client.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import {
  AUDIENCE,
  type Claims,
  IdentityProvider,
  ISSUER,
  signWithSecret,
  unsigned,
} from '../support/identity-provider.js';
import { runCommand, type Service, startService } from '../support/processes.js';

const SECRET = 'a secret that only the tests have: 0123456789';
const OTHER_SECRET = 'another secret, of somebody else: 0123456789';
const DENIED = 'ACCESS_DENIED';

/** A request that somebody makes, and what they are told: a status, and for some the code with it. */
type Expected = number | [status: number, code: string];
interface Attempt {
  method: 'GET' | 'POST';
  path: string;
  body?: object;
}

/** Whose token it is. `owner`: of what the request is about. */
const ACTORS = ['anonymous', 'owner', 'other', 'organizer'] as const;
type Actor = (typeof ACTORS)[number];

describe('who may do what', () => {
  let database: TestDatabase;
  let provider: IdentityProvider;
  const services: Service[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    provider = await IdentityProvider.start();
  });

  afterAll(async () => {
    const exits = await Promise.all(services.map((service) => service.stop()));
    await provider.stop();
    await database.drop();
    for (const service of services) expect(service.output()).not.toMatch(/"level":[56]0/);
    expect(exits).toEqual(services.map(() => ({ code: 0, signal: null })));
  });

  async function start(env: Record<string, string>): Promise<{ service: Service; api: ApiClient }> {
    const service = await startService(
      { DATABASE_URL: database.url, AUTH_MODE: 'jwt', LOG_LEVEL: 'warn', ...env },
      { until: 'ready' },
    );
    services.push(service);
    return { service, api: new ApiClient(new URL(service.url)) };
  }

  const kinds = [
    {
      kind: 'a shared secret',
      env: (): Record<string, string> => ({ JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE }),
      sign: (claims: Claims) => signWithSecret(SECRET, claims),
      badTokens: (): Record<string, () => string | Promise<string>> => ({
        'another key': () => signWithSecret(OTHER_SECRET),
        'an algorithm that is not pinned': () => signWithSecret(SECRET, {}, 'HS512'),
        'a signature of an identity provider': () => provider.sign(),
      }),
    },
    {
      kind: 'an identity provider',
      env: (): Record<string, string> => ({
        JWT_JWKS_URL: provider.jwksUrl,
        JWT_ISSUER: ISSUER,
        JWT_AUDIENCE: AUDIENCE,
        JWT_ROLE_CLAIM: 'realm_access.roles',
      }),
      sign: ({ role, ...claims }: Claims) => provider.sign({ ...claims, realm_access: { roles: ['staff', role] } }),
      badTokens: (): Record<string, () => string | Promise<string>> => ({
        'another key': async () => {
          const other = await IdentityProvider.start();
          const token = await other.sign();
          await other.stop();
          return token;
        },
        'the public key taken for a secret': async () => signWithSecret(await provider.publicKey()),
      }),
    },
  ];

  describe.each(kinds)('by tokens of $kind', ({ env, sign, badTokens }) => {
    let api: ApiClient;
    let made = 0;
    const run = Math.random().toString(36).slice(2);

    beforeAll(async () => {
      ({ api } = await start(env()));
    });
    afterAll(() => api.close());

    const tokenOf = (userId: string, role?: string): Promise<string> =>
      sign({ sub: userId, ...(role === undefined ? {} : { role }) });

    function send(
      { method, path, body }: Attempt,
      token: string | null,
      more: Record<string, string> = {},
    ): Promise<Answer> {
      const headers = {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...more,
      };
      return api.sendRaw(method, path, headers, body === undefined ? '' : JSON.stringify(body));
    }

    async function succeed(attempt: Attempt, token: string | null): Promise<Record<string, unknown>> {
      const answer = await send(attempt, token);
      expect([answer.request, answer.status, answer.body]).toEqual([
        answer.request,
        expect.any(Number),
        expect.anything(),
      ]);
      expect(answer.status).toBeLessThan(300);
      return answer.body as Record<string, unknown>;
    }

    /** A person who is registered, and an organizer of conferences. */
    async function newUser(): Promise<string> {
      const userId = `user${run}${++made}`;
      await succeed(
        { method: 'POST', path: '/user', body: { user_id: userId, topics: ['all'] } },
        await tokenOf(userId),
      );
      return userId;
    }
    async function newConference(): Promise<string> {
      const name = `Conference ${run} ${++made}`;
      const day = new Date(Date.UTC(2060, 0, made)).toISOString().slice(0, 10);
      const body = {
        name,
        location: 'Hall',
        start: `${day} 09:00:00`,
        end: `${day} 17:00:00`,
        slots: 1,
        topics: ['all'],
      };
      await succeed({ method: 'POST', path: '/conference', body }, await tokenOf('cleo', 'organizer'));
      return name;
    }
    async function bookedBy(owner: string, name: string): Promise<number> {
      const body = { user_id: owner, name };
      return (await succeed({ method: 'POST', path: '/book', body }, await tokenOf(owner))).booking_id as number;
    }
    async function newBooking(owner: string): Promise<number> {
      return bookedBy(owner, await newConference());
    }
    /** An open offer of this person. */
    async function newOffer(owner: string): Promise<number> {
      const name = await newConference();
      const first = await newUser();
      const inTheWay = await bookedBy(first, name);
      const bookingId = await bookedBy(owner, name);
      await succeed({ method: 'POST', path: '/cancel', body: { booking_id: inTheWay } }, await tokenOf(first));
      return bookingId;
    }

    /** Each route, what is asked of it about `owner`, and what each actor is told. */
    const matrix: [route: string, (owner: string) => Attempt | Promise<Attempt>, Record<Actor, Expected>][] = [
      [
        'POST /user',
        (owner) => ({ method: 'POST', path: '/user', body: { user_id: owner, topics: ['all'] } }),
        {
          anonymous: 401,
          owner: [400, 'USER_EXISTS'],
          other: [403, 'NOT_YOUR_USER_ID'],
          organizer: [400, 'USER_EXISTS'],
        },
      ],
      [
        'POST /conference',
        () => {
          const name = `Conference ${run} ${++made}`;
          const [start, end] = ['2061-01-01 09:00:00', '2061-01-01 10:00:00'];
          return {
            method: 'POST',
            path: '/conference',
            body: { name, location: 'Hall', start, end, slots: 1, topics: ['all'] },
          };
        },
        { anonymous: 401, owner: [403, 'ORGANIZERS_ONLY'], other: [403, 'ORGANIZERS_ONLY'], organizer: 201 },
      ],
      [
        'POST /book',
        async (owner) => ({ method: 'POST', path: '/book', body: { user_id: owner, name: await newConference() } }),
        { anonymous: 401, owner: 201, other: [403, 'NOT_YOUR_USER_ID'], organizer: 201 },
      ],
      [
        'POST /confirm',
        async (owner) => ({
          method: 'POST',
          path: '/confirm',
          body: { booking_id: await newOffer(owner), user_id: owner },
        }),
        { anonymous: 401, owner: 200, other: [403, 'NOT_YOUR_USER_ID'], organizer: [403, 'NOT_YOUR_USER_ID'] },
      ],
      [
        'POST /cancel',
        async (owner) => ({
          method: 'POST',
          path: '/cancel',
          body: { booking_id: await newBooking(owner), user_id: owner },
        }),
        { anonymous: 401, owner: 200, other: [403, 'NOT_YOUR_USER_ID'], organizer: 200 },
      ],
      [
        // Without a user_id it is the caller's.
        'POST /cancel',
        async (owner) => ({ method: 'POST', path: '/cancel', body: { booking_id: await newBooking(owner) } }),
        { anonymous: 401, owner: 200, other: [400, DENIED], organizer: 200 },
      ],
      [
        'GET /booking/{booking_id}',
        async (owner) => ({ method: 'GET', path: `/booking/${await newBooking(owner)}` }),
        { anonymous: 401, owner: 200, other: [404, 'BOOKING_NOT_FOUND'], organizer: 200 },
      ],
      [
        'GET /booking/{booking_id}/history',
        async (owner) => ({ method: 'GET', path: `/booking/${await newBooking(owner)}/history` }),
        { anonymous: 401, owner: 200, other: [404, 'BOOKING_NOT_FOUND'], organizer: 200 },
      ],
      [
        'GET /conference/{name}/bookings',
        async () => ({ method: 'GET', path: `/conference/${encodeURIComponent(await newConference())}/bookings` }),
        { anonymous: 401, owner: [403, 'ORGANIZERS_ONLY'], other: [403, 'ORGANIZERS_ONLY'], organizer: 200 },
      ],
      [
        'GET /user/{user_id}/bookings',
        (owner) => ({ method: 'GET', path: `/user/${owner}/bookings` }),
        { anonymous: 401, owner: 200, other: [403, 'NOT_YOUR_USER_ID'], organizer: 200 },
      ],
      ...(
        [
          ['GET /conferences', () => '/conferences?limit=1'],
          ['GET /conference/{name}', async () => `/conference/${encodeURIComponent(await newConference())}`],
          ['GET /health/live', () => '/health/live'],
          ['GET /health/ready', () => '/health/ready'],
          ['GET /docs', () => '/docs'],
          ['GET /docs-json', () => '/docs-json'],
        ] as [string, () => string | Promise<string>][]
      ).map(([route, path]): [string, () => Promise<Attempt>, Record<Actor, Expected>] => [
        route,
        async () => ({ method: 'GET', path: await path() }),
        { anonymous: 200, owner: 200, other: 200, organizer: 200 },
      ]),
    ];
    const isOpen = (expected: Record<Actor, Expected>): boolean => expected.anonymous === 200;

    it('has a line for every route of the API document', async () => {
      const document = (await send({ method: 'GET', path: '/docs-json' }, null)).body as {
        paths: Record<string, Record<string, unknown>>;
      };
      const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
        Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const tried = new Set(matrix.map(([route]) => route));
      for (const route of ['GET /docs', 'GET /docs-json']) tried.delete(route);
      expect([...tried].sort()).toEqual(documented.sort());
    });

    it('asks who it is before it reads a body', async () => {
      const begun = (headers: Record<string, string>): Promise<Answer> =>
        api.sendRaw('POST', '/book', { 'content-type': 'application/json', ...headers }, '{"user_id":');
      expect(await begun({})).toMatchObject({ status: 401, body: { code: 'TOKEN_MISSING' } });
      const known = await begun({ authorization: `Bearer ${await tokenOf('ada1')}` });
      expect(known).toMatchObject({ status: 400, body: { code: 'MALFORMED_JSON' } });
    });

    describe.each(ACTORS)('%s', (actor) => {
      it.each(matrix)('%s', async (_route, prepare, expected) => {
        const [owner, other] = [await newUser(), await newUser()];
        const tokens: Record<Actor, string | null> = {
          anonymous: null,
          owner: await tokenOf(owner),
          other: await tokenOf(other),
          organizer: await tokenOf('cleo', 'organizer'),
        };
        const answer = await send(await prepare(owner), tokens[actor]);
        const [status, code] = [expected[actor]].flat() as [number, string?];
        const told = answer.body as { code?: string } | null;
        expect([answer.status, code === undefined ? undefined : told?.code]).toEqual([status, code]);
        if (status !== 401) return;
        expect(told).toEqual({
          message: 'Say who you are: send a token as Authorization: Bearer <token>',
          code: 'TOKEN_MISSING',
        });
        expect(answer.headers['www-authenticate']).toBe('Bearer realm="conference-booking"');
      });
    });

    describe.each<[string, () => string | Promise<string>, string]>([
      ['no signature', () => unsigned(), 'TOKEN_INVALID'],
      ...Object.entries(badTokens()).map(([name, make]): [string, () => string | Promise<string>, string] => [
        name,
        make,
        'TOKEN_INVALID',
      ]),
      ['another issuer', () => sign({ iss: 'https://elsewhere.example' }), 'TOKEN_INVALID'],
      ['no issuer', () => sign({ iss: null }), 'TOKEN_INVALID'],
      ['another audience', () => sign({ aud: 'another service' }), 'TOKEN_INVALID'],
      ['no audience', () => sign({ aud: null }), 'TOKEN_INVALID'],
      ['a time that is over', () => sign({ expiresIn: -6 }), 'TOKEN_EXPIRED'],
      ['no exp', () => sign({ expiresIn: null }), 'TOKEN_INVALID'],
      ['no sub', () => sign({ sub: null }), 'TOKEN_INVALID'],
      ['a sub that is no user_id', () => sign({ sub: 'auth0|17' }), 'TOKEN_INVALID'],
      ['a sub that is a number', () => sign({ sub: 17 as unknown as string }), 'TOKEN_INVALID'],
      ['a time that has not come', () => sign({ nbf: Math.floor(Date.now() / 1_000) + 60 }), 'TOKEN_INVALID'],
      ['another claim than was signed', async () => tampered(await sign({})), 'TOKEN_INVALID'],
      ['no form at all', () => 'not.a.token', 'TOKEN_INVALID'],
    ])('with a token that has %s', (_name, make, code) => {
      it.each(matrix)('%s', async (_route, prepare, expected) => {
        const answer = await send(await prepare(await newUser()), await make());
        if (isOpen(expected)) {
          expect(answer.status).toBe(200);
          return;
        }
        expect([answer.status, answer.body]).toMatchObject([401, { code }]);
        expect((answer.body as { message: string }).message).toMatch(/: get a new one$/);
        expect(answer.headers['www-authenticate']).toMatch(
          /^Bearer realm="conference-booking", error="invalid_token", error_description="[^"]+"$/,
        );
      });
    });

    function tampered(token: string): string {
      const [head = '', claims = '', signature = ''] = token.split('.');
      const changed = { ...(JSON.parse(Buffer.from(claims, 'base64url').toString()) as object), role: 'organizer' };
      return [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
    }

    it('allows clocks to differ by 5 s', async () => {
      const userId = await newUser();
      const attempt: Attempt = { method: 'GET', path: `/user/${userId}/bookings` };
      expect((await send(attempt, await sign({ sub: userId, expiresIn: -2 }))).status).toBe(200);
      expect((await send(attempt, await sign({ sub: userId, expiresIn: -8 }))).status).toBe(401);
    });

    it('does not remember a token for longer than it counts', async () => {
      const userId = await newUser();
      const attempt: Attempt = { method: 'GET', path: `/user/${userId}/bookings` };
      const token = await sign({ sub: userId, expiresIn: -2 });
      expect((await send(attempt, token)).status).toBe(200);
      await eventually(async () => {
        expect(await send(attempt, token)).toMatchObject({ status: 401, body: { code: 'TOKEN_EXPIRED' } });
      });
    });

    it('does not take another scheme, or two tokens', async () => {
      const userId = await newUser();
      const token = await tokenOf(userId);
      const path = `/user/${userId}/bookings`;
      for (const authorization of [`Basic ${token}`, token, `Bearer ${token} ${token}`, `Bearer ${token}, x`, '']) {
        expect((await api.sendRaw('GET', path, { authorization })).status).toBe(401);
      }
      expect((await api.sendRaw('GET', path, { authorization: `bearer  ${token}` })).status).toBe(200);
    });

    it('writes down what an organizer does in the place of somebody', async () => {
      const owner = await newUser();
      const organizer = await newUser();
      const token = await tokenOf(organizer, 'organizer');
      const name = await newConference();
      const booked = await succeed({ method: 'POST', path: '/book', body: { user_id: owner, name } }, token);
      const bookingId = booked.booking_id as number;
      await succeed({ method: 'POST', path: '/cancel', body: { booking_id: bookingId } }, token);
      const history = await send({ method: 'GET', path: `/booking/${bookingId}/history` }, await tokenOf(owner));
      expect(history.body).toMatchObject([
        { reason: 'booked', organizer_id: organizer, message: `confirmed: a slot was free, by organizer ${organizer}` },
        {
          reason: 'canceled',
          organizer_id: organizer,
          message: `canceled: as was asked for, by organizer ${organizer}`,
        },
      ]);
      const own = await succeed({ method: 'POST', path: '/book', body: { user_id: organizer, name } }, token);
      const ownHistory = await send({ method: 'GET', path: `/booking/${own.booking_id as number}/history` }, token);
      expect(ownHistory.body).toMatchObject([{ reason: 'booked', organizer_id: null }]);
    });

    it('refuses what an organizer asks for in the name of a user who is not the owner', async () => {
      const [owner, other] = [await newUser(), await newUser()];
      const body = { booking_id: await newBooking(owner), user_id: other };
      const answer = await send({ method: 'POST', path: '/cancel', body }, await tokenOf('cleo', 'organizer'));
      expect([answer.status, answer.body]).toEqual([400, expect.objectContaining({ code: DENIED })]);
    });

    it('keeps the Idempotency-Keys of one caller from another', async () => {
      const [ada, bob] = [await newUser(), await newUser()];
      const name = await newConference();
      const key = { 'idempotency-key': `key ${run}` };
      const first = await send(
        { method: 'POST', path: '/book', body: { user_id: ada, name } },
        await tokenOf(ada),
        key,
      );
      const second = await send(
        { method: 'POST', path: '/book', body: { user_id: bob, name } },
        await tokenOf(bob),
        key,
      );
      const again = await send(
        { method: 'POST', path: '/book', body: { user_id: ada, name } },
        await tokenOf(ada),
        key,
      );
      expect([first.status, second.status, again.status]).toEqual([201, 201, 201]);
      expect(second.body).toMatchObject({ status: 'WAITLISTED' });
      expect(again.body).toEqual(first.body);
      expect(again.headers['idempotency-replayed']).toBe('true');
    });

    it('judges the shape before the owner where there is no user_id to speak of', async () => {
      const token = await tokenOf(await newUser());
      for (const body of [
        {},
        { user_id: 7, name: 'x' },
        { user_id: ['cleo'], name: 'x' },
        { user_id: null, name: 'x' },
      ]) {
        const answer = await send({ method: 'POST', path: '/book', body }, token);
        expect([answer.status, answer.body]).toEqual([400, expect.objectContaining({ code: 'VALIDATION_FAILED' })]);
      }
    });
  });

  it('goes on without its identity provider where no token is needed, and says that it is away where one is', async () => {
    const port = await findFreePort();
    const { service, api } = await start({
      JWT_JWKS_URL: `http://127.0.0.1:${port}/keys`,
      JWT_ISSUER: ISSUER,
      JWT_AUDIENCE: AUDIENCE,
      LOG_LEVEL: 'fatal',
    });
    const ask = async (path: string, token: string): Promise<Answer> =>
      api.sendRaw('GET', path, { authorization: `Bearer ${token}` });
    expect((await ask('/conferences', await provider.sign())).status).toBe(200);
    const away = await ask('/booking/999999', await provider.sign());
    expect([away.status, away.body, away.headers['retry-after']]).toEqual([
      503,
      { message: 'Tokens cannot be checked at the moment: try again shortly', code: 'IDENTITY_PROVIDER_UNAVAILABLE' },
      '1',
    ]);
    const back = await IdentityProvider.start(port);
    await eventually(async () => expect((await ask('/booking/999999', await back.sign())).status).toBe(404));
    // What was checked a moment ago is not asked for again.
    const token = await back.sign();
    expect((await ask('/booking/999999', token)).status).toBe(404);
    await back.stop();
    expect((await ask('/booking/999999', token)).status).toBe(404);
    expect(service.output()).toBe('');
    api.close();
  });

  it('mints tokens for trying things out', async () => {
    const env = { AUTH_MODE: 'jwt', JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_ROLE_CLAIM: 'app.role' };
    const { api } = await start(env);
    const mint = async (...args: string[]): Promise<string> => {
      const { code, output } = await runCommand('cli/token/main', args, env);
      expect(code).toBe(0);
      expect(output).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
      return output.trim();
    };
    const ask = async (path: string, token: string): Promise<number> =>
      (await api.sendRaw('GET', path, { authorization: `Bearer ${token}` })).status;
    const attendee = await mint('--sub', 'ada1');
    expect(await ask('/conference/None/bookings', attendee)).toBe(403);
    expect(await ask('/user/bob2/bookings', attendee)).toBe(403);
    const organizer = await mint('--sub', 'cleo9', '--role', 'organizer', '--ttl', '90s');
    expect(await ask('/conference/None/bookings', organizer)).toBe(404);
    api.close();
  });

  it.each([
    ['--sub', 'a b', 'Give --sub a user_id of 1 to 255 ASCII letters and digits, not "a b".'],
    ['--role', 'boss', 'Say whose token it is with --sub.'],
    ['--ttl', '1w', 'Say whose token it is with --sub.'],
  ])('says what is wrong with %s %s', async (name, value, sentence) => {
    const { code, output } = await runCommand('cli/token/main', [name, value], {
      AUTH_MODE: 'jwt',
      JWT_SECRET: SECRET,
    });
    expect([code, output]).toEqual([1, expect.stringContaining(sentence)]);
    expect(output).not.toContain(SECRET);
  });

  it('shows a document without tokens where nobody is asked for one', async () => {
    const { api } = await start({ AUTH_MODE: 'off' });
    const document = (await api.send('GET', '/docs-json')).body as { paths: object; components: object };
    expect(document.components).not.toHaveProperty('securitySchemes');
    expect(JSON.stringify(document.paths)).not.toMatch(/"40[13]":/);
    const shipped = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as { components: object };
    expect(shipped.components).toHaveProperty('securitySchemes.bearer');
    api.close();
  });
});

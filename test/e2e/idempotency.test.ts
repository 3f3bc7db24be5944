import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { startProxy } from '../support/proxy.js';
import { Backstage } from '../support/seating.js';

interface Reply {
  status: number;
  text: string;
  isReplay: boolean;
  code: string | undefined;
}

describe('a request with an Idempotency-Key', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let services: Service[];
  let round = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    services = await Promise.all([1, 2, 3].map(() => startService({ DATABASE_URL: database.url }, { until: 'ready' })));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await backstage.close();
    await database.drop();
  });

  async function send(service: number | string, path: string, body: object | string, key?: string): Promise<Reply> {
    const url = typeof service === 'string' ? service : services[service % services.length]?.url;
    const response = await fetch(`${url ?? ''}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const replayed = response.headers.get('idempotency-replayed');
    expect([null, 'true']).toContain(replayed);
    return {
      status: response.status,
      text,
      isReplay: replayed === 'true',
      code: (JSON.parse(text) as { code?: string }).code,
    };
  }

  /** A conference, people to book it, and keys that nobody else has. */
  async function stage(slots = 5): Promise<{ id: number; name: string; user: string; other: string; key: string }> {
    const name = `Keyed ${++round}`;
    const [user = '', other = ''] = await backstage.addUsers(`keyed${round}u`, 2);
    return { id: await backstage.addConference(name, slots), name, user, other, key: `key ${round}` };
  }

  async function countBookings(user: string): Promise<number> {
    return (await backstage.query('SELECT FROM bookings WHERE user_id = $1', [user])).length;
  }

  it('is carried out once, and answered byte for byte as before, by any instance', async () => {
    const { name, user, key } = await stage();
    const first = await send(0, '/book', { user_id: user, name }, key);
    expect(first).toMatchObject({ status: 201, isReplay: false });
    for (const instance of [0, 1, 2]) {
      expect(await send(instance, '/book', { user_id: user, name }, key)).toEqual({ ...first, isReplay: true });
    }
    // The same body, written in another way.
    expect(await send(1, '/book', `{ "name":"${name}",\n "user_id":"${user}" }`, key)).toEqual({
      ...first,
      isReplay: true,
    });
    expect(await countBookings(user)).toBe(1);

    const { booking_id } = JSON.parse(first.text) as { booking_id: number };
    const canceled = await send(1, '/cancel', { booking_id }, key);
    expect(canceled).toEqual({
      status: 200,
      text: '{"message":"Booking canceled successfully"}',
      isReplay: false,
      code: undefined,
    });
    expect(await send(2, '/cancel', { booking_id }, key)).toEqual({ ...canceled, isReplay: true });
    // Without the key it is a new request.
    expect(await send(2, '/cancel', { booking_id })).toMatchObject({ status: 400, code: 'ALREADY_CANCELED' });
  });

  it('that was refused stays refused, in the same words', async () => {
    const { id, name, user, other, key } = await stage(1);
    const requests: [string, object, number, string][] = [
      ['/book', { user_id: user, name: `${name} not` }, 400, 'CONFERENCE_NOT_FOUND'],
      ['/confirm', { booking_id: 999_999_999, user_id: user }, 404, 'BOOKING_NOT_FOUND'],
      ['/cancel', { booking_id: 999_999_999 }, 404, 'BOOKING_NOT_FOUND'],
    ];
    for (const [path, body, status, code] of requests) {
      const first = await send(0, path, body, key);
      expect(first).toMatchObject({ status, code, isReplay: false });
      expect(await send(1, path, body, key)).toEqual({ ...first, isReplay: true });
    }
    // An offer that was not there yet when it was asked for first.
    const held = await send(0, '/book', { user_id: user, name });
    const waiting = await send(0, '/book', { user_id: other, name });
    const { booking_id } = JSON.parse(waiting.text) as { booking_id: number };
    const confirm = { booking_id, user_id: other };
    const early = await send(0, '/confirm', confirm, `${key} early`);
    expect(early).toMatchObject({ status: 400, code: 'NOT_CONFIRMATION_PENDING' });
    await send(0, '/cancel', { booking_id: (JSON.parse(held.text) as { booking_id: number }).booking_id });
    expect(await send(1, '/confirm', confirm, `${key} early`)).toEqual({ ...early, isReplay: true });
    expect(await send(1, '/confirm', confirm, `${key} in time`)).toMatchObject({ status: 200, isReplay: false });
    expect(await backstage.statusesOf(id)).toEqual({ CANCELED: 1, CONFIRMED: 1 });
  });

  it('with another body is refused, and nothing is done; on another route the key is another one', async () => {
    const { name, user, other, key } = await stage();
    const first = await send(0, '/book', { user_id: user, name }, key);
    expect(await send(1, '/book', { user_id: other, name }, key)).toMatchObject({
      status: 422,
      code: 'IDEMPOTENCY_KEY_REUSED',
      isReplay: false,
    });
    expect(await countBookings(other)).toBe(0);
    const { booking_id } = JSON.parse(first.text) as { booking_id: number };
    expect(await send(1, '/cancel', { booking_id, user_id: user }, key)).toMatchObject({ status: 200 });
    expect(await send(1, '/cancel', { booking_id }, key)).toMatchObject({ status: 422 });
  });

  it.each([
    ['an empty one', ''],
    ['one that is too long', 'k'.repeat(256)],
    ['one with letters beyond ASCII', 'sch\xf6n'],
    ['one with a tab', 'a\tb'],
  ])('has a key of 1 to 255 printable characters: not %s', async (_what, key) => {
    const { name, user } = await stage();
    expect(await send(0, '/book', { user_id: user, name }, key)).toMatchObject({
      status: 400,
      code: 'VALIDATION_FAILED',
      text: expect.stringContaining('"field":"Idempotency-Key"') as string,
    });
    expect(await countBookings(user)).toBe(0);
    const longest = `~ ${'k'.repeat(250)}${String(round).padStart(3, '0')}`;
    expect(await send(0, '/book', { user_id: user, name }, longest)).toMatchObject({ status: 201 });
  });

  it('sent fifty times at once to three instances makes one booking', async () => {
    for (let count = 0; count < 5; count++) {
      const { name, user, key } = await stage();
      const replies = await Promise.all(
        Array.from({ length: 50 }, (_, index) => send(index, '/book', { user_id: user, name }, key)),
      );
      const answered = replies.filter(({ status }) => status === 201);
      expect(answered.filter(({ isReplay }) => !isReplay)).toHaveLength(1);
      expect(new Set(answered.map(({ text }) => text)).size).toBe(1);
      for (const { status, code } of replies) {
        if (status !== 201) expect({ status, code }).toEqual({ status: 409, code: 'IDEMPOTENCY_KEY_IN_USE' });
      }
      expect(await countBookings(user)).toBe(1);
    }
  });

  it('whose first one is still running is told so at once, by any instance', async () => {
    const { id, name, user, key } = await stage();
    const release = await backstage.holdConference(id);
    const first = send(0, '/book', { user_id: user, name }, key);
    await backstage.whenWaitedFor();
    for (const instance of [1, 2, 0]) {
      expect(await send(instance, '/book', { user_id: user, name }, key)).toMatchObject({
        status: 409,
        code: 'IDEMPOTENCY_KEY_IN_USE',
      });
    }
    await release();
    expect(await first).toMatchObject({ status: 201, isReplay: false });
    expect(await send(1, '/book', { user_id: user, name }, key)).toEqual({ ...(await first), isReplay: true });
  });

  it('that waited in vain is forgotten: the next one is carried out', async () => {
    const { id, name, user, key } = await stage();
    const release = await backstage.holdConference(id);
    expect(await send(0, '/book', { user_id: user, name }, key)).toMatchObject({ status: 503, code: 'TIMED_OUT' });
    await release();
    // The transaction that waited with it may hold the key for a moment still: 409 says to try again.
    await eventually(async () => {
      const second = await send(0, '/book', { user_id: user, name }, key);
      expect([201, 409]).toContain(second.status);
      expect(second).toMatchObject({ status: 201, isReplay: false });
    });
  });

  describe('whose instance is killed after the commit', () => {
    /** Sends a request to an instance that does not live to hear of its COMMIT. */
    async function sendToTheDoomed(path: string, body: object, key: string): Promise<void> {
      const proxy = await startProxy(new URL(database.url));
      const url = new URL(database.url);
      url.host = `127.0.0.1:${proxy.port}`;
      const doomed = await startService({ DATABASE_URL: url.href }, { until: 'ready' });
      proxy.judge = (chunk) => (chunk.includes('COMMIT') ? 'hold answers' : 'pass');
      const asked = expect(send(doomed.url, path, body, key)).rejects.toThrow();
      await eventually(async () => {
        const sql = 'SELECT FROM idempotency_keys WHERE route = $1 AND key = $2';
        expect(await backstage.query(sql, [path.slice(1), key])).toHaveLength(1);
      });
      process.kill(doomed.pid, 'SIGKILL');
      await asked;
      await doomed.exited;
      await proxy.close();
    }

    it('gets its answer from another one', async () => {
      const { name, user, key } = await stage();
      const book = { user_id: user, name };
      await sendToTheDoomed('/book', book, key);
      const booked = await send(0, '/book', book, key);
      expect(booked).toMatchObject({ status: 201, isReplay: true });
      expect(await countBookings(user)).toBe(1);

      const cancel = { booking_id: (JSON.parse(booked.text) as { booking_id: number }).booking_id };
      await sendToTheDoomed('/cancel', cancel, key);
      expect(await send(1, '/cancel', cancel, key)).toMatchObject({ status: 200, isReplay: true });
      expect(await backstage.brokenRules(2)).toEqual([]);
    });
  });

  it('after 24 hours is a new one', async () => {
    const { name, user, key } = await stage();
    const age = (interval: string): Promise<unknown> =>
      backstage.query('UPDATE idempotency_keys SET created_at = now() - $2::interval WHERE key = $1', [key, interval]);
    await send(0, '/book', { user_id: user, name }, key);
    await age('23 hours 59 minutes');
    expect(await send(0, '/book', { user_id: user, name }, key)).toMatchObject({ status: 201, isReplay: true });
    await age('24 hours');
    const again = await send(0, '/book', { user_id: user, name }, key);
    expect(again).toMatchObject({ status: 400, code: 'ALREADY_BOOKED', isReplay: false });
    expect(await send(0, '/book', { user_id: user, name }, key)).toEqual({ ...again, isReplay: true });
  });
});

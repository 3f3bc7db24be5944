import { type Answer, ApiClient, ServiceUnreachable } from '../../src/cli/api-client.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type Service, startService, type ServiceOptions } from '../support/processes.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { Backstage } from '../support/seating.js';
import { openOffers, Queues, visit } from './support.js';

/** An answer, and when it came, by `performance.now()`. */
type TimedAnswer = Answer & { at: number };

describe('an instance', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let services: Service[];
  let closings: (() => Promise<void> | void)[];

  beforeEach(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    services = [];
    closings = [() => database.drop(), () => backstage.close()];
  });
  afterEach(async () => {
    await Promise.all(services.map((service) => service.stop()));
    for (const close of closings.reverse()) await close();
  });

  async function start(env: Record<string, string>, options: ServiceOptions = { until: 'ready' }): Promise<Service> {
    const service = await startService({ DATABASE_URL: database.url, ...env }, options);
    services.push(service);
    return service;
  }

  function connect({ url }: Service, connections?: number): ApiClient {
    const api = new ApiClient(new URL(url), connections);
    closings.push(() => api.close());
    return api;
  }

  async function proxyTheDatabase(port?: number): Promise<Proxy> {
    const proxy = await startProxy(new URL(database.url), port);
    closings.push(() => proxy.close());
    return proxy;
  }

  function urlThrough(port: number): string {
    const url = new URL(database.url);
    url.host = `127.0.0.1:${port}`;
    return url.href;
  }

  it('that is told to stop answers everybody first, and keeps what it answered', async () => {
    const delayMs = 1_000;
    const service = await start({ SHUTDOWN_DELAY_SECONDS: String(delayMs / 1_000) });
    const users = await backstage.addUsers('load', 20_000);
    await backstage.addConference('Busy', 1_000_000);
    const api = connect(service, 16);
    const answers: TimedAnswer[] = [];
    const failures: { user: string; message: string; at: number }[] = [];

    async function bookOnAndOn(): Promise<void> {
      for (let user = users.pop(); user !== undefined; user = users.pop()) {
        try {
          const { answer } = await api.book(user, 'Busy');
          answers.push({ ...answer, at: performance.now() });
        } catch (error) {
          if (!(error instanceof ServiceUnreachable)) throw error;
          failures.push({ user, message: error.message, at: performance.now() });
          return;
        }
      }
    }
    const load = Array.from({ length: 16 }, bookOnAndOn);
    await eventually(() => expect(answers.length).toBeGreaterThan(300));

    const stopping = service.stop();
    const toldAt = performance.now();
    const monitor = connect(service);
    const unready = await eventually(async () => {
      const answer = await monitor.send('GET', '/health/ready');
      expect(answer.status).toBe(503);
      return answer;
    });
    const unreadyAt = performance.now();
    expect(unreadyAt - toldAt).toBeLessThan(100);
    expect(unready).toMatchObject({ body: { code: 'STOPPING' }, headers: { connection: 'close' } });

    expect(await stopping).toEqual({ code: 0, signal: null });
    const stoppedMs = performance.now() - toldAt;
    expect(stoppedMs).toBeGreaterThanOrEqual(delayMs);
    expect(stoppedMs).toBeLessThan(delayMs + 10_000);

    await Promise.all(load);
    // All of them until the port was closed; whoever was connected then, and not yet accepted, was reset by the system.
    expect(failures).toHaveLength(16);
    for (const { message, at } of failures) {
      expect(message).toMatch(/ECONNREFUSED|ECONNRESET/);
      expect(at).toBeGreaterThan(toldAt + 0.9 * delayMs);
    }
    const unheard = failures.map(({ user }) => user);
    expect(await backstage.query('SELECT * FROM bookings WHERE user_id = ANY ($1)', [unheard])).toEqual([]);
    expect(answers.filter(({ status }) => status !== 201)).toEqual([]);
    const late = answers.filter(({ at }) => at > unreadyAt);
    expect(late.at(-1)?.at).toBeGreaterThan(toldAt + 0.9 * delayMs);
    expect(late.filter(({ headers }) => headers.connection !== 'close')).toEqual([]);

    const bookingIds = answers.map(({ body }) => (body as { booking_id: number }).booking_id);
    const kept = await backstage.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM bookings WHERE booking_id = ANY ($1) AND status = 'CONFIRMED'`,
      [bookingIds],
    );
    expect(kept).toEqual([{ count: answers.length }]);
    expect(await backstage.brokenRules()).toEqual([]);
  });

  describe('with a timer in hand that waits for a conference', () => {
    let queues: Queues;
    let service: Service;
    let release: () => Promise<void>;

    beforeEach(async () => {
      queues = await Queues.open(2);
      closings.push(() => queues.close());
      service = await start({ ...queues.env, SWEEP_INTERVAL_SECONDS: '3600' });
      await queues.whenConsumed();
      const world = visit(service);
      await openOffers(world, 1);
      world.api.close();
      const [conference] = await backstage.query<{ conference_id: number }>('SELECT conference_id FROM conferences');
      release = await backstage.holdConference(conference?.conference_id ?? 0);
      expect(await countMissed()).toBe(0);
      await backstage.whenWaitedFor();
    });

    async function countMissed(): Promise<number> {
      return (await backstage.query(`SELECT FROM booking_transitions WHERE reason = 'missed'`)).length;
    }

    it('handles it when it is told to stop, and leaves none to be delivered again', async () => {
      const stopping = service.stop();
      await eventually(() => expect(service.output()).toContain('stopping'));
      await release();
      expect(await stopping).toEqual({ code: 0, signal: null });

      expect(await countMissed()).toBe(1);
      // What it offered last has its timer, which comes for the first time.
      await eventually(async () => expect(await queues.takeDue()).toEqual({ taken: 1, redelivered: 0 }));
      expect(await backstage.brokenRules(2)).toEqual([]);
    });

    it('sets it again when it is told to stop and the conference stays held', async () => {
      const toldAt = performance.now();
      expect(await service.stop()).toEqual({ code: 0, signal: null });
      expect(performance.now() - toldAt).toBeLessThan(10_000);
      await release();
      expect(await countMissed()).toBe(0);
      await eventually(async () => expect(await queues.takeDue()).toMatchObject({ taken: 1 }));
    });
  });

  it('whose database goes away says so, and is back by itself', async () => {
    const proxy = await proxyTheDatabase();
    const service = await start({ DATABASE_URL: urlThrough(proxy.port) });
    const world = visit(service);
    closings.push(() => world.api.close());
    const conference = await world.conference();
    const [first = '', second = ''] = await world.severalUsers(2);
    const bookingId = await world.bookConfirmed(first, conference);

    proxy.judge = () => 'cut before';
    const { api } = world;
    const away = { code: 'DATABASE_UNAVAILABLE', message: expect.stringMatching(/./) as string };
    for (const request of [
      () => api.send('POST', '/book', { user_id: second, name: conference.name }),
      () => api.send('POST', '/user', { user_id: 'third', topics: ['all'] }),
      () => api.send('POST', '/cancel', { booking_id: bookingId }),
      () => api.send('GET', '/conferences'),
      () => api.send('GET', `/booking/${bookingId}`),
    ]) {
      expect(await request()).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, body: away });
    }
    expect(await api.send('GET', '/health/ready')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { ...away, database: 'down', broker: 'none' },
    });
    expect(await api.send('GET', '/health/live')).toMatchObject({ status: 200, body: { status: 'ok' } });

    proxy.judge = () => 'pass';
    await eventually(async () => expect(await api.send('GET', '/health/ready')).toMatchObject({ status: 200 }));
    // Nothing of what was refused has happened.
    await world.bookWaitlisted(second, conference, 1);
    await world.expectStatus(bookingId, 'CONFIRMED');
    expect(await api.addUser({ user_id: 'third', topics: ['all'] })).toMatchObject({ ok: true });
    expect(await backstage.brokenRules()).toEqual([]);
  });

  it('whose database is not there at the start says where it looks, and waits', async () => {
    const port = await findFreePort();
    const service = await start({ DATABASE_URL: urlThrough(port) }, { until: 'live' });
    const { pathname, password } = new URL(database.url);
    await eventually(() =>
      expect(service.output()).toContain(`The database at 127.0.0.1:${port}${pathname} cannot be reached`),
    );
    expect(password).not.toBe('');
    expect(service.output()).not.toContain(password);
    const api = connect(service);
    expect(await api.send('GET', '/health/ready')).toMatchObject({ status: 503 });
    expect(await api.send('GET', '/conferences')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { code: 'DATABASE_UNAVAILABLE' },
    });

    await proxyTheDatabase(port);
    await eventually(async () => expect(await api.send('GET', '/health/ready')).toMatchObject({ status: 200 }));
    expect(await api.send('GET', '/conferences')).toMatchObject({ status: 200, body: [] });
  });

  it('whose port is in use says so, and ends', async () => {
    const { port } = new URL((await start({}, { until: 'live' })).url);
    const { code, output } = await runCommand('main', [], { DATABASE_URL: database.url, PORT: port });
    expect(output.trim().split('\n')).toEqual([
      `Port ${port} on 127.0.0.1 is in use: stop what uses it, or set PORT to another one`,
    ]);
    expect(code).toBe(1);
  });

  it('takes a signal that comes twice at once, from the terminal and through npm, for one', async () => {
    const once = await startService({ DATABASE_URL: database.url }, { until: 'ready' });
    for (let count = 0; count < 3; count++) process.kill(once.pid, 'SIGINT');
    expect(await once.exited).toEqual({ code: 0, signal: null });
    expect(once.output()).toContain('stopped');
  });
});

import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type Service, startService, type ServiceOptions } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { latenessOfMissed, openOffers, Queues, visit } from './support.js';

const WINDOW_SECONDS = 1;
const READY = { status: 'ok', database: 'up' };

describe('roles', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let services: Service[];
  let closings: (() => Promise<void> | void)[];

  beforeEach(async () => {
    services = [];
    closings = [];
    queues = await Queues.open(WINDOW_SECONDS);
    closings.push(() => queues.close());
  });
  afterEach(async () => {
    await Promise.all(services.map((service) => service.stop()));
    for (const close of closings.reverse()) await close();
  });

  async function useDatabase(create: () => Promise<TestDatabase> = createTestDatabase): Promise<void> {
    database = await create();
    backstage = await Backstage.open(database.url);
    closings.push(
      () => database.drop(),
      () => backstage.close(),
    );
  }

  async function start(
    env: Record<string, string> = {},
    options: ServiceOptions = { until: 'ready' },
  ): Promise<Service> {
    const service = await startService({ DATABASE_URL: database.url, ...env }, options);
    services.push(service);
    return service;
  }

  function enter(service: Service): ReturnType<typeof visit> {
    const world = visit(service);
    closings.push(() => world.api.close());
    return world;
  }

  async function ask(service: Service, path: string): Promise<[number, unknown]> {
    const response = await fetch(service.url + path);
    return [response.status, await response.json()];
  }

  const apiOnly = { ENABLE_QUEUE_CONSUMERS: 'false' };
  // A sweep that never comes: what is on time came through the broker.
  const workerOnly = { WORKER_ONLY: 'true', SWEEP_INTERVAL_SECONDS: '3600' };

  it('are all in one unless told', async () => {
    await useDatabase();
    const service = await start({ ...queues.env, SWEEP_INTERVAL_SECONDS: '3600' });
    await queues.whenConsumed();
    expect(await ask(service, '/health/live')).toEqual([200, { status: 'ok' }]);
    expect(await ask(service, '/health/ready')).toEqual([200, { ...READY, broker: 'up' }]);
    expect(await ask(service, '/docs-json')).toMatchObject([200, { openapi: expect.any(String) as string }]);
    expect(service.output()).toContain(`API at ${service.url}, Swagger UI at ${service.url}/docs`);
    await openOffers(enter(service), 1);
    await eventually(async () => expect(await latenessOfMissed(backstage, WINDOW_SECONDS)).not.toEqual([]));
  });

  it('are an API that leaves timers to others, and a worker that handles them and has no API', async () => {
    await useDatabase();
    const api = await start({ ...queues.env, ...apiOnly });
    expect(api.output()).toContain('This instance handles no timers');
    const world = enter(api);
    const [bookingId = 0] = await openOffers(world, 1);
    const isOverdue = async (): Promise<void> => {
      const booking = await world.booking(bookingId);
      expect(booking).toMatchObject({ status: 'ConfirmationPending', can_confirm: false });
    };
    await eventually(isOverdue);
    // The timer has come, and nobody takes it.
    await eventually(async () => expect(await queues.countDue()).toBe(1));
    await isOverdue();

    const worker = await start({ ...queues.env, ...workerOnly });
    await eventually(async () => expect(await latenessOfMissed(backstage, WINDOW_SECONDS)).not.toEqual([]));
    for (const path of ['/conferences', `/booking/${bookingId}`, '/docs', '/docs-json']) {
      expect(await ask(worker, path)).toMatchObject([404, { code: 'ROUTE_NOT_FOUND' }]);
    }
    expect((await fetch(`${worker.url}/book`, { method: 'POST', body: '{}' })).status).toBe(404);
    expect(await ask(worker, '/health/live')).toEqual([200, { status: 'ok' }]);
    expect(await ask(worker, '/health/ready')).toEqual([200, { ...READY, broker: 'up' }]);
    expect(worker.output()).toContain(`worker ready; health at ${worker.url}/health/ready`);

    // What the API offers from now on is on time.
    const before = (await latenessOfMissed(backstage, WINDOW_SECONDS)).length;
    await openOffers(world, 10);
    const late = await eventually(async () => {
      const all = await latenessOfMissed(backstage, WINDOW_SECONDS);
      expect(all.length).toBeGreaterThanOrEqual(before + 20);
      return all;
    });
    // The one of before the worker was there is the last.
    const onTime = late.slice(0, -1);
    expect(onTime.at(0)).toBeGreaterThanOrEqual(0);
    expect(onTime.at(-1)).toBeLessThan(500);
    expect(await backstage.brokenRules(2)).toEqual([]);
  });

  it('start together on an empty database, which one of them migrates', async () => {
    await useDatabase(createEmptyDatabase);
    const started = await Promise.all([start(), start(), start()]);
    const migrations = await backstage.query<{ name: string }>('SELECT name FROM migrations');
    expect(new Set(migrations.map(({ name }) => name)).size).toBe(migrations.length);
    expect(started.filter((service) => service.output().includes('migrated the database'))).toHaveLength(1);
    for (const service of started) {
      expect(service.output()).not.toMatch(/"level":[56]0/);
      expect(await ask(service, '/conferences')).toEqual([200, []]);
    }
  });

  it('wait for somebody else to migrate where they are told not to', async () => {
    await useDatabase(createEmptyDatabase);
    const service = await start({ RUN_MIGRATIONS: 'false' }, { until: 'live' });
    await eventually(() => expect(service.output()).toMatch(/lacks [\w, ]+: run `npm run migration:run`/));
    expect(await ask(service, '/health/live')).toEqual([200, { status: 'ok' }]);
    expect(await ask(service, '/health/ready')).toEqual([
      503,
      {
        message: 'The database cannot be reached, or is not migrated yet: try again shortly',
        code: 'DATABASE_UNAVAILABLE',
        database: 'down',
        broker: 'none',
      },
    ]);
    expect(await backstage.query(`SELECT to_regclass('bookings') AS bookings`)).toEqual([{ bookings: null }]);

    expect(await runCommand('cli/migrate', ['run'], { DATABASE_URL: database.url })).toMatchObject({ code: 0 });
    await eventually(async () =>
      expect(await ask(service, '/health/ready')).toEqual([200, { ...READY, broker: 'none' }]),
    );
    expect(await ask(service, '/conferences')).toEqual([200, []]);
  });

  it('serve a database that is ahead of them, with a warning', async () => {
    await useDatabase();
    await backstage.query(
      `INSERT INTO migrations (timestamp, name) VALUES (9999999999999, 'FromTomorrow9999999999999')`,
    );
    const service = await start();
    expect(service.output()).toMatch(/"level":40.*FromTomorrow9999999999999/);
    await openOffers(enter(service), 1);
  });

  it.each([
    [
      'every mistake in it at once',
      { PORT: '0', LOG_LEVEL: 'loud', RABBITMQ_URL: 'http://guest:hush@rabbit', WORKER_ONLY: 'true', ...apiOnly },
      ['PORT', 'LOG_LEVEL', 'RABBITMQ_URL', 'WORKER_ONLY'],
    ],
    ['neither a database nor who may do what in production', { NODE_ENV: 'production' }, ['AUTH_MODE', 'DATABASE_URL']],
  ])('refuse an environment that is not valid: %s', async (_what, env, names) => {
    const { code, output } = await runCommand('main', [], env);
    expect(code).toBe(1);
    const [title, ...mistakes] = output.trimEnd().split('\n');
    expect(title).toBe('The environment is not valid:');
    expect(mistakes.map((mistake) => /^ {2}- ([A-Z_]+)/.exec(mistake)?.[1]).sort()).toEqual([...names].sort());
    expect(output).not.toContain('hush');
  });
});

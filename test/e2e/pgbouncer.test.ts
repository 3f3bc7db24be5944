import { Client } from 'pg';
import { SERVER_LIMITS } from '../../src/database/data-source.js';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Pooler, startPooler } from '../support/pooler.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { API_ONLY, CLUSTER_TIMEOUT_MS } from './cluster.js';
import { Queues, visit } from './support.js';

const WINDOW_SECONDS = 2;
const START_TIMEOUT_MS = 120_000;

describe('behind PgBouncer in transaction mode', () => {
  let pooler: Pooler;
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  const services: Service[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    pooler = await startPooler(database.url);
    for (const role of [API_ONLY, {}, {}]) {
      const env = { ...pooler.envFor(database.url), ...queues.env, ...role };
      services.push(await startService(env, { until: 'ready' }));
    }
  }, CLUSTER_TIMEOUT_MS);
  afterAll(async () => {
    for (const service of services) await service.stop();
    await pooler.stop();
    await queues.close();
    await backstage.close();
    await database.drop();
  }, CLUSTER_TIMEOUT_MS);

  const run = (entry: string, ...args: string[]): ReturnType<typeof runCommand> =>
    runCommand(entry, args, { ...pooler.envFor(database.url), ...queues.env });

  it(
    'three instances pass the ten scenarios and a rush, and the audit holds',
    async () => {
      const [first, second] = services;
      const scenarios = await run('cli/scenarios/main', '--url', first?.url ?? '');
      if (scenarios.code !== 0) expect(scenarios.output).toBe('');
      expect(scenarios.output.trimEnd().split('\n').at(-1)).toBe('10 passed, 0 failed');

      const world = visit({ url: second?.url ?? '' });
      for (let count = 0; count < 5; count++) await world.conference({ slots: 5 });
      world.api.close();
      const rush = await run('cli/demo/main', '--url', second?.url ?? '', '--attendees', '100', '--seed', '7');
      if (rush.code !== 0) expect(rush.output).toBe('');

      const audit = await run('cli/audit/main');
      expect(audit.output).toMatch(/rules hold on \d+ conferences, [1-9]\d* bookings/);
      expect(audit.code).toBe(0);
      for (const service of services) expect(service.output()).not.toMatch(/"level":[56]0/);
    },
    CLUSTER_TIMEOUT_MS,
  );

  it('a connection has the limits that it has without a pooler', async () => {
    const client = new Client({ connectionString: pooler.envFor(database.url).DATABASE_URL });
    await client.connect();
    const { rows } = await client.query<{ name: string; ms: number }>(
      'SELECT name, setting::int AS ms FROM pg_settings WHERE name = ANY ($1)',
      [Object.keys(SERVER_LIMITS)],
    );
    await client.end();
    expect(Object.fromEntries(rows.map(({ name, ms }) => [name, ms]))).toEqual(SERVER_LIMITS);
  });

  it(
    'an instance says so, and is not ready, where the pooler sets no limits',
    async () => {
      const unlimited = await startPooler(database.url, { isWithoutLimits: true });
      const service = await startService(unlimited.envFor(database.url));
      try {
        await eventually(() =>
          expect(service.output()).toContain(
            'sets no idle_in_transaction_session_timeout, lock_timeout, statement_timeout: give it the connect_query of deploy/pgbouncer.ini',
          ),
        );
        expect((await fetch(`${service.url}/health/ready`)).status).toBe(503);
      } finally {
        await service.stop();
        await unlimited.stop();
      }
    },
    START_TIMEOUT_MS,
  );

  it(
    'a migration leaves no lock behind, even one that was sent through the pooler by mistake',
    async () => {
      const empty = await createEmptyDatabase();
      try {
        const env = pooler.envFor(empty.url);
        for (const last of [/^ran CreateSchema/m, /^nothing to do: up to date$/m]) {
          const { code, output } = await runCommand('cli/migrate', ['run'], env);
          expect(output).toMatch(last);
          expect(code).toBe(0);
        }
        const locks = await backstage.query(
          `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = $1)`,
          [new URL(empty.url).pathname.slice(1)],
        );
        expect(locks).toEqual([]);
      } finally {
        await empty.drop();
      }
    },
    START_TIMEOUT_MS,
  );
});

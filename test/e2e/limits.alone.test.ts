import { ApiClient, type BookResult, type Reply } from '../../src/cli/api-client.js';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type RunningProcess, type Service, startProcess, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';

describe('an instance', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let services: Service[];
  let apis: ApiClient[];

  beforeEach(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    services = [];
    apis = [];
  });
  afterEach(async () => {
    for (const api of apis) api.close();
    await Promise.all(services.map((service) => service.stop()));
    expect(await backstage.brokenRules()).toEqual([]);
    await backstage.close();
    await database.drop();
  });

  async function start(connections = 4): Promise<{ service: Service; api: ApiClient }> {
    const service = await startService({ DATABASE_URL: database.url }, { until: 'ready' });
    services.push(service);
    const api = new ApiClient(new URL(service.url), connections);
    apis.push(api);
    return { service, api };
  }

  const idsOf = (replies: Reply<BookResult>[]): (number | null)[] =>
    replies.map((reply) => (reply.ok ? reply.body.booking_id : null));

  it('that freezes in the middle of a transaction holds a conference for 2 s at most, and goes on well', async () => {
    const [frozen, other] = [await start(), await start()];
    const conferenceId = await backstage.addConference('Frozen', 3);
    const [stuck = '', next = '', late = ''] = await backstage.addUsers('frozen', 3);
    // The number of a booking is asked for when the conference is locked, and before anything can be committed.
    await backstage.query('BEGIN');
    await backstage.query('ALTER SEQUENCE bookings_booking_id_seq CACHE 1');

    const begun = frozen.api.book(stuck, 'Frozen');
    await backstage.whenWaitedFor();
    process.kill(frozen.service.pid, 'SIGSTOP');
    let served: Reply<BookResult>;
    try {
      await backstage.query('ROLLBACK');
      // The conference is locked, and nobody is there to go on.
      const isFrozen = `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction' AND application_name = 'conference-booking'`;
      await eventually(async () => expect(await backstage.query(isFrozen)).toHaveLength(1), { intervalMs: 5 });
      served = await other.api.book(next, 'Frozen');
    } finally {
      process.kill(frozen.service.pid, 'SIGCONT');
    }
    expect(served).toMatchObject({ ok: true, body: { status: 'CONFIRMED' } });
    // The limit, and some time for a machine that has other things to do.
    expect(served.answer.durationMs).toBeLessThan(4_500);

    // What was begun was taken back, is done again, and only once.
    const replies = [await begun, served, await frozen.api.book(late, 'Frozen')];
    const rows = await backstage.query<{ booking_id: number; user_id: string; steps: number }>(
      `SELECT booking_id::int, user_id, status, count(transition_id)::int AS steps
       FROM bookings LEFT JOIN booking_transitions USING (booking_id) WHERE conference_id = $1 GROUP BY booking_id`,
      [conferenceId],
    );
    const byUser = new Map(rows.map((row) => [row.user_id, row]));
    expect(rows).toHaveLength(3);
    expect(idsOf(replies)).toEqual([stuck, next, late].map((user) => byUser.get(user)?.booking_id));
    expect(rows.map(({ steps }) => steps)).toEqual([1, 1, 1]);
  });

  it('answers 500 requests at once for one conference, with its 10 connections, within 5 s each', async () => {
    const { api } = await start(500);
    await backstage.addConference('Rush', 200);
    const users = await backstage.addUsers('rush', 450);
    const looks = Array.from({ length: 50 }, () => api.conference('Rush'));
    const replies = await Promise.all(users.map((user) => api.book(user, 'Rush')));
    const answers = [...replies, ...(await Promise.all(looks))].map(({ answer }) => answer);
    const durations = answers.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    process.stdout.write(`  500 requests at once: the last answer after ${Math.round(durations.at(-1) ?? NaN)} ms\n`);

    expect(durations.at(-1)).toBeLessThan(5_000);
    const isDocumented = answers.map(({ status, headers }) =>
      status === 503 ? headers['retry-after'] !== undefined : status === 200 || status === 201,
    );
    expect(isDocumented.every(Boolean)).toBe(true);
    // Who was answered with a booking has it, and nobody else.
    const booked = idsOf(replies).filter((id) => id !== null);
    const rows = await backstage.query<{ id: number }>('SELECT booking_id::int AS id FROM bookings');
    expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(booked));
    expect(booked.length).toBeGreaterThan(0);
  });

  it('has no connection but those of the pool, which has the limits', async () => {
    const { api } = await start();
    await Promise.all(Array.from({ length: 20 }, () => api.send('GET', '/conferences')));
    const rows = await backstage.query(
      `SELECT DISTINCT application_name FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    expect(rows).toEqual([{ application_name: 'conference-booking' }]);
  });
});

describe('a migration that freezes', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let frozen: RunningProcess | null = null;

  beforeEach(async () => {
    database = await createEmptyDatabase();
    backstage = await Backstage.open(database.url);
  });
  afterEach(async () => {
    await frozen?.stop('SIGKILL');
    await backstage.close();
    await database.drop();
  });

  it('keeps neither its locks nor its turn: another one migrates', async () => {
    // Whatever is held up at this door, in the database, goes on when the test opens it.
    const DOOR = 1;
    await backstage.query(`CREATE FUNCTION wait_at_door() RETURNS event_trigger LANGUAGE plpgsql SET lock_timeout = 0
      AS $$ BEGIN PERFORM pg_advisory_lock_shared(${DOOR}); PERFORM pg_advisory_unlock_shared(${DOOR}); END $$`);
    await backstage.query(`CREATE EVENT TRIGGER wait_at_door ON ddl_command_end WHEN TAG IN ('CREATE TYPE')
      EXECUTE FUNCTION wait_at_door()`);
    await backstage.query(`SELECT pg_advisory_lock(${DOOR})`);
    frozen = startProcess('cli/migrate', ['run'], { DATABASE_URL: database.url });
    await backstage.whenWaitedFor();
    process.kill(frozen.pid, 'SIGSTOP');
    await backstage.query(`SELECT pg_advisory_unlock(${DOOR})`);

    const { code, output } = await runCommand('cli/migrate', ['run'], { DATABASE_URL: database.url });
    expect(output).toMatch(/^ran CreateSchema/m);
    expect(code).toBe(0);
    process.kill(frozen.pid, 'SIGCONT');
    expect((await frozen.exited).code).toBe(1);
    expect(frozen.output()).toMatch(/^The database at .* cannot be reached \(.*\): /);
  });
});

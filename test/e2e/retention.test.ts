import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { archivedState, type ArchivedState, passInto } from '../support/archive.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { Backstage, openBoxOffice } from '../support/seating.js';

const DAYS = 7;
const PEOPLE = 400;
const CONFERENCES = 3;

interface Line {
  kind: 'booking' | 'transition';
  booking_id: number;
  conference?: string;
}

describe('the archive', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let before: ArchivedState;
  const services: Service[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    const office = await openBoxOffice(database.url);
    for (let each = 1; each <= CONFERENCES; each++) {
      const conferenceId = await backstage.addConference(`Over ${each}`, 2);
      const users = await backstage.addUsers(`guest${each}x`, 2);
      await Promise.all(users.map((user) => office.boxOffice.book(user, `Over ${each}`)));
      await backstage.fillLine(conferenceId, `left${each}x`, PEOPLE);
      await passInto(backstage, conferenceId, DAYS + 2 * each);
      await office.boxOffice.startConference(conferenceId);
    }
    await office.close();
    before = await archivedState(backstage);
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await backstage.close();
    await database.drop();
  });

  async function startWorker(): Promise<Service> {
    const env = { DATABASE_URL: database.url, WORKER_ONLY: 'true', RETENTION_DAYS: String(DAYS) };
    const service = await startService(env, { until: 'ready' });
    services.push(service);
    return service;
  }

  /** Runs the command as in a pipe; `readAtMost` bytes, and then the pipe breaks. */
  async function runExport(args: string[], readAtMost = Infinity): Promise<{ code: number | null; text: string }> {
    const child = spawn(process.execPath, [resolve('dist/cli/export/main.js'), ...args], {
      env: { PATH: process.env.PATH, DATABASE_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stderr.resume();
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.length >= readAtMost) child.stdout.destroy();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, text };
  }

  const linesOf = (text: string): Line[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);

  async function expectAllRules(): Promise<void> {
    expect((await runCommand('cli/audit/main', [], { DATABASE_URL: database.url })).code).toBe(0);
  }

  it('loses nothing and gets nothing twice when a worker is killed, and two others go on', async () => {
    // The third transaction is held up in its middle.
    await backstage.query('CREATE SEQUENCE pages');
    await backstage.query(`CREATE FUNCTION wait_at_door() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$ BEGIN
      IF nextval('pages') = 3 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN NULL; END $$`);
    await backstage.query(`CREATE TRIGGER wait_at_door AFTER INSERT ON archived_bookings
      FOR EACH STATEMENT EXECUTE FUNCTION wait_at_door()`);
    await backstage.query('SELECT pg_advisory_lock(1)');
    const killed = await startWorker();
    await backstage.whenWaitedFor();
    services.pop();
    await killed.stop('SIGKILL');
    await backstage.query('SELECT pg_advisory_unlock(1)');
    await eventually(async () => {
      const left = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'conference-booking'`;
      expect(await backstage.query(left)).toEqual([]);
    });
    const meanwhile = await archivedState(backstage);
    expect(meanwhile.rows).toEqual(before.rows);
    expect(meanwhile.archived.bookings).toBe(200);
    await expectAllRules();

    await Promise.all([startWorker(), startWorker()]);
    await eventually(
      async () => expect((await archivedState(backstage)).live).toEqual({ bookings: 0, transitions: 0 }),
      { timeoutMs: 40_000, intervalMs: 100 },
    );
    expect((await archivedState(backstage)).rows).toEqual(before.rows);
    await expectAllRules();
  }, 120_000);

  it('is exported whole, and nothing of it is deleted unless that is asked for', async () => {
    const { code, text } = await runExport([]);
    expect(code).toBe(0);
    const lines = linesOf(text);
    const count = (kind: Line['kind']): number => lines.filter((line) => line.kind === kind).length;
    const { archived } = await archivedState(backstage);
    expect({ bookings: count('booking'), transitions: count('transition') }).toEqual(archived);
    expect(lines[0]).toMatchObject({ conference: 'Over 1', user_id: 'guest1x1', status: 'CONFIRMED' });
    expect((await archivedState(backstage)).rows).toEqual(before.rows);
  });

  it('keeps what was not written where the output breaks', async () => {
    const { code } = await runExport(['--delete'], 100_000);
    expect(code).toBe(1);
    const { archived } = await archivedState(backstage);
    // Whole pages, and no more of them than were read.
    const [row] = await backstage.query<{ broken: number }>(
      `SELECT count(*)::int AS broken FROM archived_bookings b
       WHERE NOT EXISTS (SELECT FROM archived_transitions t WHERE t.booking_id = b.booking_id)`,
    );
    expect(row?.broken).toBe(0);
    expect(archived.bookings).toBeGreaterThan(0);
    await expectAllRules();
  });

  it('is deleted as far as it was exported: by day, and with every rule still holding', async () => {
    const at = (endedDaysAgo: number): string => new Date(Date.now() - endedDaysAgo * 86_400_000).toISOString();
    const { code, text } = await runExport(['--delete', '--before', at(DAYS + 5).slice(0, 10)]);
    expect(code).toBe(0);
    const names = new Set(linesOf(text).flatMap(({ conference }) => conference ?? []));
    expect(names).toEqual(new Set(['Over 3']));
    expect((await archivedState(backstage, ['Over 3'])).rows).toEqual([]);
    expect((await archivedState(backstage, ['Over 2'])).archived.bookings).toBe(PEOPLE + 2);
    await expectAllRules();

    await runExport(['--delete']);
    expect((await archivedState(backstage)).rows).toEqual([]);
    await expectAllRules();
    // What is gone is gone, and the conference still says how many came.
    expect(await backstage.query('SELECT DISTINCT available_slots, exported_confirmed FROM conferences')).toEqual([
      { available_slots: 0, exported_confirmed: 2 },
    ]);
  });

  it.each([['2027-02-30'], ['yesterday']])('refuses --before %s in a sentence', async (day) => {
    const { code, output } = await runCommand('cli/export/main', ['--before', day], { DATABASE_URL: database.url });
    expect(code).toBe(1);
    expect(output).toMatch(/^Give --before a day such as 2027-03-01, not /);
  });
});

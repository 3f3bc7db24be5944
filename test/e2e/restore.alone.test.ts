import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeAnswer } from '../../src/cli/api-client.js';
import { type DebianPostgres, startDebianPostgres } from '../support/debian-postgres.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { latenessOfMissed, openOffers, Queues, visit } from './support.js';

const WINDOW_SECONDS = 1;
const SWEEP_SECONDS = 1;
const CLIENTS = 8;
const DAY_MS = 86_400_000;

/** Rows that a transition is due for, and when it came: ms after it was due, or after `$1` where that is later. */
const LATENESS_OF_OFFERS = `
  SELECT extract(epoch FROM min(t.at) - greatest(open.confirmation_deadline, $1))::float8 * 1000 AS late
  FROM open_at_restore open JOIN booking_transitions t
    ON t.booking_id = open.booking_id AND t.transition_id > open.last_transition
  GROUP BY open.booking_id, open.confirmation_deadline`;
const LATENESS_OF_STARTS = `
  SELECT extract(epoch FROM waitlist_closed_at - greatest(starts_at, $1))::float8 * 1000 AS late
  FROM conferences WHERE waitlist_closed_at IS NOT NULL`;
const NOTE_OPEN_OFFERS = `
  CREATE TABLE open_at_restore AS SELECT booking_id, confirmation_deadline,
    (SELECT max(transition_id) FROM booking_transitions t WHERE t.booking_id = b.booking_id) AS last_transition
  FROM bookings b WHERE status = 'ConfirmationPending'`;

describe('a dump of a service under load', () => {
  let postgres: DebianPostgres;
  let folder: string;
  const services: Service[] = [];
  const closings: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'booking-dump-'));
    postgres = await startDebianPostgres();
  }, 300_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop('SIGKILL')));
    for (const close of closings.reverse()) await close();
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A service with a database, with queues that nobody has used before. */
  async function open(database: string): Promise<{ service: Service; backstage: Backstage; queues: Queues }> {
    const queues = await Queues.open(WINDOW_SECONDS);
    closings.push(() => queues.close());
    const env = { ...queues.env, SWEEP_INTERVAL_SECONDS: String(SWEEP_SECONDS) };
    const service = await startService({ DATABASE_URL: postgres.toUrl(database), ...env }, { until: 'ready' });
    services.push(service);
    await queues.whenConsumed();
    const backstage = await Backstage.open(postgres.toUrl(database));
    closings.push(() => backstage.close());
    return { service, backstage, queues };
  }

  it('is restored beside an empty broker: every rule holds, and every timer is made up for', async () => {
    await postgres.createDatabase('before');
    await postgres.createDatabase('after');
    const before = await open('before');
    const world = visit(before.service);
    closings.push(() => world.api.close());

    // People who come and go, for as long as the dump takes and a while longer.
    const answered: { bookingId: number; at: number }[] = [];
    let isOver = false;
    const busy = await world.conference({ slots: 20 });
    const comeAndGo = async (): Promise<void> => {
      while (!isOver) {
        const reply = await world.api.book(await world.user(), busy.name);
        if (!reply.ok) throw new Error(describeAnswer(reply.answer));
        const { booking_id: bookingId } = reply.body;
        answered.push({ bookingId, at: performance.now() });
        if (bookingId % 3 === 0) await world.cancelActive(bookingId);
      }
    };
    const load = Promise.all(Array.from({ length: CLIENTS }, comeAndGo));
    load.catch(() => (isOver = true));
    await eventually(() => expect(answered.length).toBeGreaterThan(100), { timeoutMs: 30_000 });
    await world.conference({ startMs: Date.now() + 400 * DAY_MS });
    // Nobody takes these: they go round, and some are open at any moment.
    await openOffers(world, 10);
    const soonMs = Date.now() + 6_000;
    await openOffers(world, 5, soonMs);
    await openOffers(world, 5, soonMs + 8_000);

    const dumpedAt = performance.now();
    const file = join(folder, 'dump');
    await postgres.dump('before', file);
    const atDump = answered.length;
    await eventually(() => expect(answered.length).toBeGreaterThan(atDump + 20), { timeoutMs: 30_000 });
    isOver = true;
    await load;
    await before.service.stop('SIGKILL');

    await postgres.restore('after', file);
    const after = await Backstage.open(postgres.toUrl('after'));
    closings.push(() => after.close());
    // All that was answered before the dump is in it, and nothing that did not happen.
    const idsOf = async (backstage: Backstage, what: string): Promise<Set<string>> => {
      const rows = await backstage.query<{ row: string }>(`SELECT ${what} AS row FROM booking_transitions t`);
      return new Set(rows.map(({ row }) => row));
    };
    const restored = await idsOf(after, 't.booking_id::text');
    const lost = answered.filter(({ bookingId, at }) => at < dumpedAt && !restored.has(String(bookingId)));
    expect(lost).toEqual([]);
    const happened = await idsOf(before.backstage, 't::text');
    expect([...(await idsOf(after, 't::text'))].filter((row) => !happened.has(row))).toEqual([]);

    await after.query(NOTE_OPEN_OFFERS);
    const [held = { offers: 0 }] = await after.query<{ offers: number }>(
      'SELECT count(*)::int AS offers FROM open_at_restore',
    );
    expect(held.offers).toBeGreaterThanOrEqual(10);
    // The first start comes, and every offer runs out, while nobody is there.
    await eventually(
      async () => {
        const [row] = await after.query<{ due: number }>(
          'SELECT count(*)::int AS due FROM conferences WHERE starts_at <= now()',
        );
        expect(row?.due).toBeGreaterThanOrEqual(1);
      },
      { timeoutMs: 20_000 },
    );
    expect(await after.query('SELECT FROM conferences WHERE waitlist_closed_at IS NOT NULL')).toEqual([]);

    const { service, queues } = await open('after');
    const [clock] = await after.query<{ now: Date }>('SELECT now()');
    const late = await eventually(
      async () => {
        const offers = await after.query<{ late: number }>(LATENESS_OF_OFFERS, [clock?.now]);
        const starts = await after.query<{ late: number }>(LATENESS_OF_STARTS, [clock?.now]);
        expect([offers.length, starts.length]).toEqual([held.offers, 2]);
        return [...offers, ...starts].map((row) => row.late);
      },
      { timeoutMs: 30_000 },
    );
    process.stdout.write(
      `  ${restored.size} bookings and ${held.offers} open offers were restored; what was due was dealt with at most ` +
        `${Math.round(Math.max(0, ...late))} ms after the service was ready, or its time had come\n`,
    );
    expect(Math.max(...late)).toBeLessThan(1_000 * (SWEEP_SECONDS + 1));

    // Whatever is offered from now on has its timer; a far start has none, and will be found by the sweep.
    const again = visit(service);
    closings.push(() => again.api.close());
    const soFar = (await latenessOfMissed(after, WINDOW_SECONDS)).length;
    await openOffers(again, 5);
    await eventually(async () => {
      expect((await latenessOfMissed(after, WINDOW_SECONDS)).length).toBeGreaterThan(soFar + 10);
    });
    await eventually(async () => expect(await queues.countDelayed(DAY_MS)).toBe(1));
    const audit = await runCommand('cli/audit/main', ['--grace', String(SWEEP_SECONDS + 1)], {
      DATABASE_URL: postgres.toUrl('after'),
    });
    expect(audit.output).toMatch(/^\d+ rules hold on/m);
    expect(audit.code).toBe(0);
  }, 180_000);
});

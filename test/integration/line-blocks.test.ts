import fc from 'fast-check';
import { revertMigration, runMigrations } from '../../src/database/migrate.js';
import { RANK } from '../../src/seating/line-rank.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

const BLOCK = 1_024;
const RUNS = 25;
const STEPS = 40;

type Step =
  | { kind: 'book'; people: number }
  | { kind: 'cancel'; who: number; people: number }
  | { kind: 'confirm' }
  | { kind: 'miss' };

const people = fc.integer({ min: 1, max: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('book' as const), people }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('cancel' as const), who: fc.nat(1_000), people }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'confirm' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'miss' } as const) },
);

describe('the blocks of a line', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let office: TestBoxOffice;
  let run = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    office = await openBoxOffice(database.url, { CONFIRMATION_WINDOW_SECONDS: '3600' });
  });
  const clear = (): Promise<object[]> => backstage.query('TRUNCATE bookings, conferences, users CASCADE');
  afterEach(clear);
  afterAll(async () => {
    await office.close();
    await backstage.close();
    await database.drop();
  });

  /** Whoever waits and is told another rank than a plain count of the line gives. */
  const wronglyRanked = (): Promise<object[]> =>
    backstage.query(`SELECT * FROM (
        SELECT b.booking_id, ${RANK} AS rank,
          row_number() OVER (PARTITION BY b.conference_id ORDER BY b.queue_ticket) AS counted
        FROM bookings b WHERE b.status = 'WAITLISTED'
      ) waiting WHERE rank <> counted`);

  const blocks = (): Promise<{ conference_id: number; block: number; waiting: number }[]> =>
    backstage.query('SELECT conference_id, block::int, waiting FROM line_blocks ORDER BY 1, 2');

  /** The next place that is given in this line. */
  const jumpTo = (conferenceId: number, place: number): Promise<object[]> =>
    backstage.query('UPDATE conferences SET last_ticket = $2 - 1 WHERE conference_id = $1', [conferenceId, place]);

  /** Two conferences of two slots each, whose lines are about to go from one block to the next. */
  async function play(steps: Step[]): Promise<void> {
    await clear();
    const names = [`Run ${++run} a`, `Run ${run} b`];
    const ids: number[] = [];
    for (const name of names) ids.push(await backstage.addConference(name, 2, 8_640_000 + ids.length * 7_200));
    for (const [index, id] of ids.entries()) await jumpTo(id, BLOCK * (index + 1) - 10);
    const users = await backstage.addUsers(`run${run}u`, STEPS * 6);
    const bookings: number[] = [];
    for (const { kind, ...told } of steps) {
      if (kind === 'book') {
        const booked = users
          .splice(0, 'people' in told ? told.people : 0)
          .flatMap((user) => names.map((name) => office.boxOffice.book(user, name)));
        bookings.push(...(await settle(booked)).values.map(({ bookingId }) => bookingId));
      } else if (kind === 'cancel' && 'who' in told) {
        const chosen = bookings.splice(told.who % Math.max(1, bookings.length), told.people);
        await Promise.all(chosen.map((bookingId) => office.boxOffice.cancel(bookingId, null)));
      } else if (kind === 'confirm') {
        const [offer] = await backstage.query<{ booking_id: number; user_id: string }>(
          `SELECT booking_id::int, user_id FROM bookings WHERE status = 'ConfirmationPending' LIMIT 1`,
        );
        if (offer !== undefined) await office.boxOffice.confirm(offer.booking_id, offer.user_id);
      } else {
        await backstage.query(`UPDATE bookings SET confirmation_deadline = now() - interval '1 hour'
          WHERE status = 'ConfirmationPending'`);
        await Promise.all(ids.map((id) => office.boxOffice.expireOffers(id)));
      }
      expect(await wronglyRanked()).toEqual([]);
    }
    expect(await backstage.brokenRules(60)).toEqual([]);
    for (const id of ids) {
      await backstage.query(
        `UPDATE conferences SET starts_at = now() - interval '1 minute', ends_at = now() + interval '1 minute' WHERE conference_id = $1`,
        [id],
      );
      await office.boxOffice.startConference(id);
    }
    expect(await blocks()).toEqual([]);
  }

  it('tell every rank as a plain count does, whatever people do, and nothing is left of them after the start', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: STEPS, size: 'max' }), play), {
      numRuns: RUNS,
    });
  });

  it('are counted for several conferences by one statement, and by statements past the service', async () => {
    const ids = [await backstage.addConference('One', 1), await backstage.addConference('Two', 1, 9_000_000)];
    for (const [index, id] of ids.entries()) {
      await jumpTo(id, BLOCK - 2);
      await backstage.fillLine(id, `line${index}x`, 5);
    }
    const [one = 0, two = 0] = ids;
    const counted = (block: number, waiting: [number, number]): object[] =>
      [one, two].map((conference_id, index) => ({ conference_id, block, waiting: waiting[index] }));
    const both = async (): Promise<object[]> => (await blocks()).sort((a, b) => a.block - b.block);
    expect(await both()).toEqual([...counted(0, [2, 2]), ...counted(1, [3, 3])]);

    await backstage.query(`UPDATE bookings SET queue_ticket = queue_ticket + 100 WHERE queue_ticket = ${BLOCK - 1}`);
    expect(await both()).toEqual([...counted(0, [1, 1]), ...counted(1, [4, 4])]);
    await backstage.query(`UPDATE bookings SET status = 'CANCELED', queue_ticket = NULL, canceled_at = now()
      WHERE queue_ticket = ${BLOCK - 2}`);
    expect(await both()).toEqual(counted(1, [4, 4]));
    await backstage.query('DELETE FROM booking_transitions');
    await backstage.query(`DELETE FROM bookings WHERE queue_ticket = ${BLOCK}`);
    expect(await both()).toEqual(counted(1, [3, 3]));
    expect(await wronglyRanked()).toEqual([]);
    await backstage.query('TRUNCATE bookings CASCADE');
    expect(await both()).toEqual([]);
  });

  it('keep nobody from booking at once, from two instances on several conferences', async () => {
    const names = ['North', 'South', 'East', 'West'];
    for (const [index, name] of names.entries()) {
      await jumpTo(await backstage.addConference(name, 3, 8_640_000 + index * 7_200), BLOCK - 30);
    }
    const users = await backstage.addUsers('both', 60);
    const other = await openBoxOffice(database.url);
    const { values, codes } = await settle(
      users.flatMap((user, index) =>
        names.map((name, each) => ((index + each) % 2 === 0 ? office : other).boxOffice.book(user, name)),
      ),
    );
    expect(codes).toEqual([]);
    const { codes: refused } = await settle(
      values
        .filter((_, index) => index % 3 === 0)
        .map(({ bookingId }, index) => (index % 2 === 0 ? office : other).boxOffice.cancel(bookingId, null)),
    );
    expect(refused).toEqual([]);
    await other.close();
    expect(await wronglyRanked()).toEqual([]);
    expect(await backstage.brokenRules(60)).toEqual([]);
  });

  it('spare a look-up the count of the whole line', async () => {
    const waiting = 8_000;
    const id = await backstage.addConference('Long', 1);
    await backstage.fillLine(id, 'long', waiting);
    interface Node {
      'Actual Rows': number;
      'Actual Loops': number;
      'Rows Removed by Filter'?: number;
      Plans?: Node[];
    }
    // What the scans at the leaves read: a node above them hands the same rows on.
    const rowsOf = ({ Plans = [], ...node }: Node): number =>
      Plans.length > 0
        ? Plans.reduce((sum, plan) => sum + rowsOf(plan), 0)
        : (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
    const read = async (rank: string): Promise<number> => {
      const [found] = await backstage.query<{ 'QUERY PLAN': [{ Plan: Node }?] }>(
        `EXPLAIN (ANALYZE, FORMAT JSON) SELECT ${rank} AS rank FROM bookings b
         WHERE b.conference_id = ${id} AND b.status = 'WAITLISTED' AND b.queue_ticket = ${waiting}`,
      );
      const plan = found?.['QUERY PLAN'][0]?.Plan;
      return plan === undefined ? NaN : rowsOf(plan);
    };
    expect(await read(RANK)).toBeLessThan(BLOCK + waiting / BLOCK + 10);
    const plainCount = `(SELECT count(*) FROM bookings w WHERE w.conference_id = b.conference_id
      AND w.status = 'WAITLISTED' AND w.queue_ticket <= b.queue_ticket)`;
    expect(await read(plainCount)).toBeGreaterThanOrEqual(waiting);
  });

  it('come with their migration, for lines that are there already, and go with it', async () => {
    const own = await createTestDatabase();
    const there = await Backstage.open(own.url);
    try {
      const id = await there.addConference('Before', 1);
      while ((await revertMigration(own.url)).done[0] !== 'LineBlocks1795000000400');
      await there.fillLine(id, 'before', BLOCK + 10);
      expect(await there.query(`SELECT proname FROM pg_proc WHERE proname LIKE '%line_blocks%'`)).toEqual([]);
      expect(await there.query(`SELECT tgname FROM pg_trigger WHERE tgname LIKE '%line%'`)).toEqual([]);
      await runMigrations(own.url);
      const counted = await there.query('SELECT block::int, waiting FROM line_blocks ORDER BY block');
      expect(counted).toEqual([
        { block: 0, waiting: BLOCK - 1 },
        { block: 1, waiting: 11 },
      ]);
    } finally {
      await there.close();
      await own.drop();
    }
  });
});

import { DataSource } from 'typeorm';
import { CommitFate } from '../../src/seating/commit-fate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Proxy, startProxy, type Verdict } from '../support/proxy.js';
import { Backstage, openBoxOffice, type TestBoxOffice } from '../support/seating.js';

describe('a COMMIT whose answer gets lost', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let proxy: Proxy;
  let office: TestBoxOffice;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    const url = new URL(database.url);
    proxy = await startProxy(url);
    url.port = String(proxy.port);
    office = await openBoxOffice(url.href);
  });

  afterAll(async () => {
    await office.close();
    await proxy.close();
    await backstage.close();
    await database.drop();
  });

  /** Cuts the next connection that says COMMIT, once. */
  function cutNextCommit(verdict: Verdict): { isCut: () => boolean } {
    let isCut = false;
    proxy.judge = (chunk) => {
      if (isCut || !chunk.includes('COMMIT')) return 'pass';
      isCut = true;
      return verdict;
    };
    return { isCut: () => isCut };
  }

  it.each([
    ['is carried out once more when the server never got it', 'cut before', 'Before'],
    ['is answered as done when the server has done it', 'cut after', 'After'],
  ] as const)('%s', async (_what, verdict, name) => {
    await backstage.addConference(name, 10);
    const users = await backstage.addUsers(name.toLowerCase(), 4);
    const lastId = await backstage.lastBookingId();
    const cut = cutNextCommit(verdict);
    const booked = await Promise.all(users.map((user) => office.boxOffice.book(user, name)));
    expect(cut.isCut()).toBe(true);
    // Told the truth: the numbers that were answered are the ones that are there, each booked once.
    const rows = await backstage.query<{ booking_id: number; status: string; steps: number }>(
      `SELECT booking_id::int, b.status, (SELECT count(*)::int FROM booking_transitions t WHERE t.booking_id = b.booking_id) AS steps
       FROM bookings b JOIN conferences c USING (conference_id) WHERE c.name = $1 ORDER BY booking_id`,
      [name],
    );
    expect(rows).toEqual(booked.map(({ bookingId }) => ({ booking_id: bookingId, status: 'CONFIRMED', steps: 1 })));
    // What is done is not done again: a second time would have other numbers.
    const isDoneOnce = rows[0]?.booking_id === lastId + 1;
    expect(isDoneOnce).toBe(verdict === 'cut after');
    expect(await backstage.brokenRules()).toEqual([]);
  });

  it('is not waited for without end where the network swallows it', async () => {
    await backstage.addConference('Swallowed', 10);
    const [user = '', other = ''] = await backstage.addUsers('swallowed', 2);
    let isSwallowed = false;
    proxy.judge = (chunk) => {
      isSwallowed ||= chunk.includes('COMMIT');
      return chunk.includes('COMMIT') ? 'swallow' : 'pass';
    };
    const lost = office.boxOffice.book(user, 'Swallowed');
    await eventually(() => expect(isSwallowed).toBe(true));
    proxy.judge = () => 'pass';
    // The server ends a transaction that stays idle for 2 s; this side asks what became of it after 8 s.
    await expect(lost).resolves.toMatchObject({ status: 'CONFIRMED' });
    await expect(office.boxOffice.book(other, 'Swallowed')).resolves.toMatchObject({ status: 'CONFIRMED' });
    expect(await backstage.brokenRules()).toEqual([]);
  });

  describe('after a crash of the database, which may give its transaction id again', () => {
    let dataSource: DataSource;
    let fate: CommitFate;

    beforeAll(async () => {
      dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
      fate = new CommitFate(dataSource);
    });
    afterAll(() => dataSource.destroy());

    async function stepOf(name: string): Promise<{ id: string; trace: NonNullable<Parameters<CommitFate['of']>[1]> }> {
      await backstage.addConference(name, 1);
      const [user = ''] = await backstage.addUsers(name.toLowerCase(), 1);
      const { bookingId } = await office.boxOffice.book(user, name);
      const [row] = await backstage.query<{ id: string; at: number }>(
        `SELECT xmin::text AS id, floor(extract(epoch FROM at) * 1000)::float8 AS at FROM booking_transitions
         WHERE booking_id = $1`,
        [bookingId],
      );
      return { id: row?.id ?? '', trace: { bookingId, toStatus: 'CONFIRMED', reason: 'booked', at: row?.at ?? 0 } };
    }

    it('is done where its own step is there', async () => {
      const { id, trace } = await stepOf('Kept');
      await expect(fate.of(id, trace)).resolves.toBe('committed');
    });

    it('is not done where another transaction has the id', async () => {
      const { id, trace } = await stepOf('Another');
      await expect(fate.of(id, { ...trace, at: trace.at - 1 })).resolves.toBe('aborted');
      await expect(fate.of(id, { ...trace, bookingId: trace.bookingId + 1 })).resolves.toBe('aborted');
    });

    it('is not done where nobody has the id yet', async () => {
      const { id, trace } = await stepOf('Nobody');
      await expect(fate.of(String(Number(id) + 1_000_000), trace)).resolves.toBe('aborted');
    });
  });
});

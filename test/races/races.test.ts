import { FlightTransaction, type Statement } from '../../src/database/flights.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

const ROUNDS = 25;
/** Without the locks it goes wrong in most rounds; in none of so many would be a miracle. */
const CONTROL_ROUNDS = 200;

/**
 * Two box offices, as two instances have them, on one database. Each race is run many times with the locks, and no rule
 * may ever break; then its control takes the locks away, and must see one break: else the race proves nothing.
 */
describe('races', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let offices: [TestBoxOffice, TestBoxOffice];
  let round = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    const settings = { CONFIRMATION_WINDOW_SECONDS: '3600' };
    offices = [await openBoxOffice(database.url, settings), await openBoxOffice(database.url, settings)];
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    // What a control broke is not for the next test to find.
    await backstage.query(
      'TRUNCATE booking_transitions, bookings, conference_topics, conferences, user_interests, users',
    );
  });

  afterAll(async () => {
    for (const office of offices) await office.close();
    await backstage.close();
    await database.drop();
  });

  const office = (index: number): TestBoxOffice['boxOffice'] => offices[index % 2 === 0 ? 0 : 1].boxOffice;

  /** A conference and users whose names no other round has. */
  async function stage(slots: number, people: number): Promise<{ id: number; name: string; users: string[] }> {
    const name = `Race ${++round}`;
    const id = await backstage.addConference(name, slots);
    return { id, name, users: await backstage.addUsers(`r${round}u`, people) };
  }

  /** Somebody with an open offer, and somebody behind; the slot was given back by a third. */
  async function stageOffer(): Promise<{ id: number; owner: string; bookingId: number }> {
    const { id, name, users } = await stage(1, 3);
    const [first = '', owner = '', behind = ''] = users;
    const { bookingId: given } = await office(0).book(first, name);
    const { bookingId } = await office(0).book(owner, name);
    await office(0).book(behind, name);
    await office(0).cancel(given, null);
    return { id, owner, bookingId };
  }

  /** Puts the deadline of an open offer into the past, as waiting for it would. */
  async function passDeadline(bookingId: number): Promise<void> {
    await backstage.query(
      `UPDATE bookings SET confirmation_deadline = clock_timestamp() - interval '1 ms' WHERE booking_id = $1`,
      [bookingId],
    );
  }

  function takeLocksAway(): void {
    type Flight = (Statement<unknown> | null)[];
    const send = Reflect.get(FlightTransaction.prototype, 'send') as (...flight: Flight) => Promise<never>;
    const unlocked = function (this: FlightTransaction, ...flight: Flight): Promise<never> {
      const free = flight.map((each) => each && { ...each, text: each.text.replace(/ FOR NO KEY UPDATE.*$/s, '') });
      return send.apply(this, free);
    };
    jest.spyOn(FlightTransaction.prototype, 'send').mockImplementation(unlocked);
  }

  /** Runs the race until a rule is broken. Returns how often it was run; null: nothing ever broke. */
  async function roundsUntilBroken(race: () => Promise<unknown>): Promise<number | null> {
    for (let count = 1; count <= CONTROL_ROUNDS; count++) {
      await race();
      if ((await backstage.brokenRules(3_600)).length > 0) return count;
    }
    return null;
  }

  describe('for the last seat', () => {
    async function rush(people: number): Promise<{ confirmed: number; waiting: number[] }> {
      const { name, users } = await stage(1, people);
      const { values } = await settle(users.map((user, index) => office(index).book(user, name)));
      const positions = values.flatMap(({ waitlistPosition }) => waitlistPosition ?? []);
      return {
        confirmed: values.filter(({ status }) => status === 'CONFIRMED').length,
        waiting: positions.sort((a, b) => a - b),
      };
    }

    it('twenty at once end with one seat and a line of nineteen', async () => {
      const line = Array.from({ length: 19 }, (_, index) => index + 1);
      for (let count = 0; count < ROUNDS; count++) expect(await rush(20)).toEqual({ confirmed: 1, waiting: line });
      expect(await backstage.brokenRules(3_600)).toEqual([]);
    });

    it('control: without the locks it is sold twice', async () => {
      takeLocksAway();
      // Two only: with a line, two batches that give the same ticket are stopped by its unique index.
      expect(await roundsUntilBroken(() => rush(2))).not.toBeNull();
      expect(await backstage.brokenRules(3_600)).toContainEqual(expect.stringContaining('never oversold'));
    });
  });

  describe.each([
    [
      'of a cancellation against a confirmation',
      async () => {
        const { bookingId, owner } = await stageOffer();
        const { values, codes } = await settle<unknown>([
          office(0).cancel(bookingId, owner),
          office(1).confirm(bookingId, owner),
        ]);
        // Confirmed and then canceled, or canceled and so not confirmed.
        return { isOneOrder: values.length === 2 || codes.join() === 'NOT_CONFIRMATION_PENDING' };
      },
      { isOneOrder: true },
    ],
    [
      'of ten cancellations of one booking',
      async () => {
        const { bookingId } = await stageOffer();
        const { values } = await settle<unknown>(
          Array.from({ length: 10 }, (_, index) => office(index).cancel(bookingId, null)),
        );
        return { canceled: values.length };
      },
      { canceled: 1 },
    ],
    [
      'of a timer against the sweep',
      async () => {
        const { id, bookingId } = await stageOffer();
        await passDeadline(bookingId);
        await Promise.all([0, 1, 2, 3].map((index) => office(index).expireOffers(id)));
        const [row] = await backstage.query('SELECT missed_offers FROM bookings WHERE booking_id = $1', [bookingId]);
        return row;
      },
      { missed_offers: 1 },
    ],
    [
      'of an expiry against a cancellation',
      async () => {
        const { id, bookingId } = await stageOffer();
        await passDeadline(bookingId);
        const { codes } = await settle<unknown>([office(0).expireOffers(id), office(1).cancel(bookingId, null)]);
        return { codes };
      },
      { codes: [] },
    ],
  ])('%s', (_what, race, expected) => {
    it('are decided, and break no rule', async () => {
      for (let count = 0; count < ROUNDS; count++) expect(await race()).toEqual(expected);
      expect(await backstage.brokenRules(3_600)).toEqual([]);
    });

    it('control: without the locks a rule breaks', async () => {
      takeLocksAway();
      expect(await roundsUntilBroken(race)).not.toBeNull();
    });
  });

  describe('of an expiry against a confirmation at the deadline', () => {
    it('are decided by the database’s clock: confirmed before the deadline, or missed', async () => {
      const seen = new Set<string>();
      for (let count = 0; count < ROUNDS || seen.size < 2; count++) {
        const { id, owner, bookingId } = await stageOffer();
        // Even rounds come in time, odd rounds too late.
        if (count % 2 === 1) await passDeadline(bookingId);
        const [confirmed] = await Promise.allSettled([office(0).confirm(bookingId, owner), office(1).expireOffers(id)]);
        const [row] = await backstage.query<{ status: string; missed_offers: number }>(
          'SELECT status, missed_offers FROM bookings WHERE booking_id = $1',
          [bookingId],
        );
        seen.add(confirmed.status);
        expect(row).toEqual(
          confirmed.status === 'fulfilled'
            ? { status: 'CONFIRMED', missed_offers: 0 }
            : { status: 'WAITLISTED', missed_offers: count % 2 },
        );
      }
      expect(await backstage.brokenRules(3_600)).toEqual([]);
    });
  });

  describe('of one user for more bookings than they may have', () => {
    const MOST = 3;
    let limited: [TestBoxOffice, TestBoxOffice];

    beforeAll(async () => {
      const settings = { MAX_ACTIVE_BOOKINGS_PER_USER: String(MOST) };
      limited = [await openBoxOffice(database.url, settings), await openBoxOffice(database.url, settings)];
    });
    afterAll(async () => {
      for (const each of limited) await each.close();
    });

    /** Every user wants all of eight conferences, one after the other in time, from both offices at once. */
    async function rush(people: number): Promise<{ booked: number; refused: string[] }> {
      const names: string[] = [];
      while (names.length < 8) {
        const name = `Race ${++round}`;
        // Half of them are full: who waits has a booking, too.
        await backstage.addConference(name, names.length % 2 === 0 ? people : 1, 8_640_000 + names.length * 3_600);
        names.push(name);
      }
      const users = await backstage.addUsers(`many${++round}x`, people);
      const asked = users.flatMap((user) =>
        names.map((name, place) => limited[place % 2 === 0 ? 0 : 1].boxOffice.book(user, name)),
      );
      const { values, codes } = await settle(asked);
      return { booked: values.length, refused: [...new Set(codes)] };
    }

    const mostOfOne = async (): Promise<number> => {
      const [row] = await backstage.query<{ most: number }>(
        'SELECT max(count)::int AS most FROM (SELECT count(*) FROM bookings GROUP BY user_id) each',
      );
      return row?.most ?? 0;
    };

    it('end with as many as they may have, and no more', async () => {
      for (let count = 0; count < ROUNDS; count++) {
        expect(await rush(4)).toEqual({ booked: 4 * MOST, refused: ['TOO_MANY_BOOKINGS'] });
        expect(await mostOfOne()).toBe(MOST);
      }
      expect(await backstage.brokenRules(3_600)).toEqual([]);
    });

    it('control: without the locks they have more', async () => {
      takeLocksAway();
      let most = 0;
      for (let count = 0; count < CONTROL_ROUNDS && most <= MOST; count++) {
        await rush(1);
        most = await mostOfOne();
      }
      expect(most).toBeGreaterThan(MOST);
    });
  });

  describe('of one user for conferences that overlap', () => {
    /** Every user wants all of five conferences at the same hour, from both offices at once. */
    async function rush(people: number): Promise<{ booked: number; overlapping: number; failed: string[] }> {
      const stages: { name: string }[] = [];
      while (stages.length < 5) stages.push(await stage(people, 0));
      const users = await backstage.addUsers(`rush${++round}x`, people);
      const asked = users.flatMap((user, index) =>
        stages.map(({ name }, place) => office(index + place).book(user, name)),
      );
      const { values, codes } = await settle(asked);
      const isOverlap = (code: string): boolean => code === 'OVERLAPPING_BOOKING';
      return {
        booked: values.length,
        overlapping: codes.filter(isOverlap).length,
        failed: codes.filter((code) => !isOverlap(code)),
      };
    }

    const deadlocks = async (): Promise<number> => {
      const [row] = await backstage.query<{ deadlocks: number }>(
        'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
      );
      return row?.deadlocks ?? 0;
    };

    it('end with one booking each, without a deadlock', async () => {
      expect(await rush(200)).toEqual({ booked: 200, overlapping: 800, failed: [] });
      expect(await backstage.brokenRules(3_600)).toEqual([]);
      expect(await deadlocks()).toBe(0);
    });

    it('control: without the locks it is left to the constraint, which fails transactions', async () => {
      const runs = offices.map(({ transaction }) => jest.spyOn(transaction, 'run'));
      takeLocksAway();
      await rush(200);
      const outcomes = await Promise.allSettled(
        runs.flatMap(({ mock }) => mock.results.map((result) => result.value as Promise<unknown>)),
      );
      expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
    });
  });
});

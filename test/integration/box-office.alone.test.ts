import { Hall } from '../../src/seating/hall.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

describe('the box office', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let office: TestBoxOffice;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    office = await openBoxOffice(database.url, { CONFIRMATION_WINDOW_SECONDS: '3600' });
  });

  afterEach(async () => {
    expect(await backstage.brokenRules()).toEqual([]);
  });

  afterAll(async () => {
    await office.close();
    await backstage.close();
    await database.drop();
  });

  const book = (userId: string, name: string): ReturnType<typeof office.boxOffice.book> =>
    office.boxOffice.book(userId, name);

  const statusOf = async (bookingId: number): Promise<string | undefined> =>
    (await backstage.query<{ status: string }>('SELECT status FROM bookings WHERE booking_id = $1', [bookingId]))[0]
      ?.status;

  describe('a batch', () => {
    it('is one transaction for all that wait, in order of arrival', async () => {
      const id = await backstage.addConference('Batch', 3);
      const users = await backstage.addUsers('batch', 10);
      const run = jest.spyOn(office.transaction, 'run');
      const booked = await Promise.all(users.map((user) => book(user, 'Batch')));
      expect(run).toHaveBeenCalledTimes(1);
      run.mockRestore();
      expect(booked.map(({ waitlistPosition }) => waitlistPosition)).toEqual([null, null, null, 1, 2, 3, 4, 5, 6, 7]);
      expect(await backstage.statusesOf(id)).toEqual({ CONFIRMED: 3, WAITLISTED: 7 });
    });

    it('sees in each command what the one before changed', async () => {
      await backstage.addConference('Seen', 1);
      const [first = '', second = '', third = ''] = await backstage.addUsers('seen', 3);
      const { bookingId } = await book(first, 'Seen');
      const [, again, joined, offered, declined] = await Promise.allSettled([
        book(second, 'Seen'),
        book(second, 'Seen'),
        book(third, 'Seen'),
        office.boxOffice.cancel(bookingId, null),
        office.boxOffice.cancel(bookingId, null),
      ]);
      expect(again).toMatchObject({ status: 'rejected', reason: { code: 'ALREADY_BOOKED' } });
      expect(joined).toMatchObject({ status: 'fulfilled', value: { waitlistPosition: 2 } });
      expect(offered.status).toBe('fulfilled');
      expect(declined).toMatchObject({ status: 'rejected', reason: { code: 'ALREADY_CANCELED' } });
      // Who joined in this very batch is offered the slot that came free in it.
      const pending = await backstage.query("SELECT user_id FROM bookings WHERE status = 'ConfirmationPending'");
      expect(pending).toEqual([{ user_id: second }]);
    });

    it('lets a user book again what is canceled in the same batch', async () => {
      await backstage.addConference('Again', 2);
      const [user = ''] = await backstage.addUsers('again', 1);
      const { bookingId } = await book(user, 'Again');
      const [, rebooked] = await Promise.all([office.boxOffice.cancel(bookingId, user), book(user, 'Again')]);
      expect(rebooked.status).toBe('CONFIRMED');
      expect(await statusOf(bookingId)).toBe('CANCELED');
    });

    it('takes a guessed number of a booking that is only being made for no one', async () => {
      await backstage.addConference('Guess', 1);
      const [user = ''] = await backstage.addUsers('guess', 1);
      const [{ last } = { last: 0 }] = await backstage.query<{ last: number }>(
        'SELECT last_value::int AS last FROM bookings_booking_id_seq',
      );
      const [booked, canceled] = await Promise.allSettled([
        book(user, 'Guess'),
        office.boxOffice.cancel(last + 1, null),
      ]);
      expect(booked).toMatchObject({ status: 'fulfilled', value: { bookingId: last + 1, status: 'CONFIRMED' } });
      expect(canceled).toMatchObject({ reason: { code: 'BOOKING_NOT_FOUND' } });
    });
  });

  describe('a command that fails', () => {
    it('harms no neighbour: a transaction that fails as a whole is tried again, and then split', async () => {
      await backstage.addConference('Poison', 100);
      const users = await backstage.addUsers('neighbour', 20);
      await backstage.addUsers('poison', 1);
      await backstage.query(`CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'poison' USING ERRCODE = 'P0666'; END $$`);
      await backstage.query(`CREATE TRIGGER poison BEFORE INSERT ON bookings FOR EACH ROW
        WHEN (NEW.user_id = 'poison1') EXECUTE FUNCTION refuse_poison()`);
      try {
        const asked = [...users.slice(0, 7), 'poison1', ...users.slice(7)].map((user) => book(user, 'Poison'));
        const { values, codes } = await settle(asked);
        expect(values.map(({ status }) => status)).toEqual(users.map(() => 'CONFIRMED'));
        expect(codes).toHaveLength(1);
      } finally {
        await backstage.query('DROP TRIGGER poison ON bookings');
      }
    });

    it('is refused by the constraints where a lock should fail to protect it', async () => {
      await backstage.addConference('Backstop', 5);
      await backstage.addConference('Backstop beside', 5);
      const [user = ''] = await backstage.addUsers('backstop', 1);
      const { bookingId } = await book(user, 'Backstop');
      // As if the user's bookings had been read before somebody else's were written: the rules see none.
      const blind = jest.spyOn(Hall.prototype, 'findActiveSeats').mockReturnValue([]);
      const outcomes = [await settle([book(user, 'Backstop')]), await settle([book(user, 'Backstop beside')])];
      blind.mockRestore();
      expect(outcomes.map(({ codes }) => codes)).toEqual([['ALREADY_BOOKED'], ['OVERLAPPING_BOOKING']]);
      expect(await statusOf(bookingId)).toBe('CONFIRMED');
    });
  });

  describe('a busy conference', () => {
    it('holds up no other: while its lock is held for 1 s, bookings elsewhere have a p99 under 200 ms', async () => {
      const busy = await backstage.addConference('Busy', 5);
      await backstage.addConference('Quiet', 5_000);
      const [waiting = ''] = await backstage.addUsers('waiting', 1);
      const users = await backstage.addUsers('quiet', 2_000);
      const release = await backstage.holdConference(busy);
      const heldUntil = performance.now() + 1_000;
      const held = book(waiting, 'Busy');
      let isServed = false;
      void held.then(() => (isServed = true));

      const durations: number[] = [];
      while (performance.now() < heldUntil && users.length > 0) {
        const startedAt = performance.now();
        await Promise.all(users.splice(0, 5).map((user) => book(user, 'Quiet')));
        durations.push(performance.now() - startedAt);
      }
      expect(isServed).toBe(false);
      await release();
      expect((await held).status).toBe('CONFIRMED');
      durations.sort((a, b) => a - b);
      expect(durations.length).toBeGreaterThan(20);
      expect(durations[Math.ceil(durations.length * 0.99) - 1]).toBeLessThan(200);
    });

    it('keeps the order of arrival, and serves everybody in batches when it is free', async () => {
      const busy = await backstage.addConference('Order', 2);
      const users = await backstage.addUsers('order', 60);
      const release = await backstage.holdConference(busy);
      const asked: ReturnType<typeof book>[] = [];
      for (const user of users) {
        asked.push(book(user, 'Order'));
        // Spread over many turns, and so over several tries of the main lane.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await release();
      const positions = (await Promise.all(asked)).map(({ waitlistPosition }) => waitlistPosition);
      expect(positions).toEqual([null, null, ...users.slice(2).map((_, index) => index + 1)]);
    });

    it('that has a crowd is waited for without a try for a second, and one without a crowd is tried', async () => {
      const ids = [await backstage.addConference('Crowd', 500), await backstage.addConference('No crowd', 500)];
      const [crowd = 0, few = 0] = ids;
      const users = await backstage.addUsers('throng', 200);
      const more = (count: number): string[] => users.splice(0, count);
      const bookWhileHeld = async (id: number, name: string, people: number): Promise<void> => {
        const release = await backstage.holdConference(id);
        const asked = Promise.all(more(people).map((user) => book(user, name)));
        await backstage.whenWaitedFor();
        await release();
        await asked;
      };
      const run = jest.spyOn(office.transaction, 'run');
      /** Which conference the first transaction for the next booking waits for; undefined: it tries. */
      const waitsFor = async (name: string): Promise<number | undefined> => {
        run.mockClear();
        await Promise.all(more(1).map((user) => book(user, name)));
        return run.mock.calls[0]?.[0].waitFor;
      };
      await bookWhileHeld(few, 'No crowd', 5);
      expect(await waitsFor('No crowd')).toBeUndefined();
      await bookWhileHeld(crowd, 'Crowd', 60);
      expect(await waitsFor('Crowd')).toBe(crowd);
      await eventually(async () => expect(await waitsFor('Crowd')).toBeUndefined(), { intervalMs: 300 });
      run.mockRestore();
      expect(await backstage.brokenRules(60)).toEqual([]);
    });

    it('holds up no other, however many are busy, and however many wait for them', async () => {
      const names = Array.from({ length: 8 }, (_, index) => `Many ${index}`);
      for (const name of names) await backstage.addConference(name, 100);
      const users = await backstage.addUsers('many', 800);
      await backstage.addConference('Beside many', 1);
      const [beside = ''] = await backstage.addUsers('beside', 1);
      await backstage.query('BEGIN');
      await backstage.query("SELECT 1 FROM conferences WHERE name LIKE 'Many %' FOR UPDATE");
      const asked = users.map((user, index) => book(user, names[index % 8] ?? ''));
      const startedAt = performance.now();
      expect((await book(beside, 'Beside many')).status).toBe('CONFIRMED');
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      await backstage.query('COMMIT');
      expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(users.map(() => 'CONFIRMED'));
    });
  });

  describe('a user whose row somebody else holds', () => {
    it('holds up nobody else', async () => {
      await backstage.addConference('Held user', 400);
      const [held = ''] = await backstage.addUsers('held', 1);
      const users = await backstage.addUsers('others', 300);
      await backstage.query('BEGIN');
      await backstage.query('SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE', [held]);
      const waiting = book(held, 'Held user');
      const startedAt = performance.now();
      await Promise.all(users.map((user) => book(user, 'Held user')));
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      await backstage.query('COMMIT');
      expect((await waiting).status).toBe('CONFIRMED');
    });
  });

  describe('waiting', () => {
    it('is bounded: 10,000 commands and 5 s; who is refused is never served, and timers are not refused', async () => {
      const busy = await backstage.addConference('Bounded', 5);
      const other = await backstage.addConference('Beside bounded', 1, 8_640_000);
      const [user = ''] = await backstage.addUsers('bounded', 1);
      const release = await backstage.holdConference(busy);
      const startedAt = performance.now();
      const asked = Array.from({ length: 10_200 }, () => book(user, 'Bounded'));
      const looked = office.boxOffice.expireOffers(other);
      const { values, codes } = await settle(asked);
      const waitedMs = performance.now() - startedAt;
      await expect(looked).resolves.toHaveProperty('now');
      await release();
      const count = (code: string): number => codes.filter((each) => each === code).length;
      expect(values).toHaveLength(0);
      expect(count('OVERLOADED')).toBeGreaterThan(0);
      expect(count('OVERLOADED') + count('TIMED_OUT')).toBe(asked.length);
      expect(count('TIMED_OUT')).toBeLessThanOrEqual(10_256);
      expect(waitedMs).toBeGreaterThanOrEqual(4_990);
      expect(waitedMs).toBeLessThan(7_500);
      // Whatever was refused was never begun, also now that the lock is free.
      await office.boxOffice.startConference(busy);
      expect(await backstage.statusesOf(busy)).toEqual({});
    });
  });

  describe('timers', () => {
    it('that look at the same conference while they wait are one', async () => {
      const id = await backstage.addConference('Coalesced', 1);
      const run = jest.spyOn(office.transaction, 'run');
      await Promise.all(Array.from({ length: 500 }, () => office.boxOffice.expireOffers(id)));
      expect(run.mock.calls.length).toBeLessThanOrEqual(2);
      run.mockRestore();
    });

    it('have a lane of their own: a line of requests does not hold them up', async () => {
      const busy = await backstage.addConference('Crowded', 1);
      const due = await backstage.addConference('Due', 1);
      const [holder = '', next = ''] = await backstage.addUsers('due', 2);
      const { bookingId } = await book(holder, 'Due');
      const { bookingId: waiting } = await book(next, 'Due');
      await office.boxOffice.cancel(bookingId, null);
      await backstage.query(
        "UPDATE bookings SET confirmation_deadline = date_trunc('milliseconds', now() - interval '1 s') WHERE booking_id = $1",
        [waiting],
      );
      const users = await backstage.addUsers('crowd', 5_000);
      await book(users[0] ?? '', 'Crowded');
      let isServed = false;
      const crowd = Promise.all(users.slice(1).map((user) => book(user, 'Crowded'))).then(() => (isServed = true));
      await office.boxOffice.expireOffers(due);
      expect(isServed).toBe(false);
      await crowd;
      // Alone in line, and so offered again.
      expect(await statusOf(waiting)).toBe('ConfirmationPending');
      expect(await backstage.statusesOf(busy)).toEqual({ CONFIRMED: 1, WAITLISTED: 4_999 });
    });

    it('that come early, twice or for nothing change nothing', async () => {
      const id = await backstage.addConference('Early', 1);
      const [first = '', second = ''] = await backstage.addUsers('early', 2);
      const { bookingId } = await book(first, 'Early');
      const { bookingId: waiting } = await book(second, 'Early');
      await office.boxOffice.cancel(bookingId, null);
      const look = 'SELECT count(*)::int AS count FROM booking_transitions';
      const before = await backstage.query(look);
      await Promise.all([
        office.boxOffice.expireOffers(id),
        office.boxOffice.startConference(id),
        office.boxOffice.expireOffers(id),
      ]);
      expect(await backstage.query(look)).toEqual(before);
      expect(await statusOf(waiting)).toBe('ConfirmationPending');
    });
  });

  describe('a start', () => {
    it('with 100,000 waiting closes the line while bookings elsewhere go on', async () => {
      // It started a second ago; its one free slot never mattered to those in line.
      const id = await backstage.addConference('Huge', 1, -1);
      // Only to fill the line sooner: the constraint looks at active bookings, and none of these will be.
      await backstage.query('ALTER TABLE bookings DROP CONSTRAINT bookings_no_overlap');
      await backstage.fillLine(id, 'huge', 100_000);
      const users = await backstage.addUsers('elsewhere', 5_000);
      await backstage.addConference('Elsewhere', 5_000);
      const progress = { isStarted: false };
      const started = office.boxOffice.startConference(id).then(() => (progress.isStarted = true));
      const durations: number[] = [];
      while (!progress.isStarted && users.length > 0) {
        const startedAt = performance.now();
        await Promise.all(users.splice(0, 5).map((user) => book(user, 'Elsewhere')));
        durations.push(performance.now() - startedAt);
      }
      await started;
      expect(await backstage.statusesOf(id)).toEqual({ CANCELED: 100_000 });
      await backstage.query(`ALTER TABLE bookings ADD CONSTRAINT bookings_no_overlap
        EXCLUDE USING gist (hashtextextended(user_id, 0) WITH =, user_id COLLATE "C" WITH =, during WITH &&)
        WHERE (status <> 'CANCELED')`);
      durations.sort((a, b) => a - b);
      expect(durations.length).toBeGreaterThan(10);
      expect(durations[Math.ceil(durations.length * 0.99) - 1]).toBeLessThan(500);
    }, 120_000);
  });

  describe('a connection that is killed', () => {
    it('in the middle of a transaction costs nobody anything', async () => {
      const busy = await backstage.addConference('Killed', 50);
      const users = await backstage.addUsers('killed', 50);
      const release = await backstage.holdConference(busy);
      const asked = users.map((user) => book(user, 'Killed'));
      const other = await Backstage.open(database.url);
      // The one that waits for the lock is the one that is killed.
      await eventually(async () => {
        const killed = await other.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'conference-booking'`,
        );
        expect(killed.length).toBeGreaterThan(0);
      });
      await release();
      expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(users.map(() => 'CONFIRMED'));
      await other.close();
    });
  });
});

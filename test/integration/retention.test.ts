import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DataSource } from 'typeorm';
import { createApplication } from '../../src/application.js';
import { ApiClient } from '../../src/cli/api-client.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { Database } from '../../src/database/database.js';
import { revertMigration, runMigrations } from '../../src/database/migrate.js';
import { Archivist } from '../../src/retention/archivist.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { archivedState, passInto } from '../support/archive.js';
import { eventually } from '../support/eventually.js';
import { Backstage, openBoxOffice, type TestBoxOffice } from '../support/seating.js';

const DAYS = 7;

describe('retention', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let office: TestBoxOffice;
  let dataSources: DataSource[];

  beforeEach(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    office = await openBoxOffice(database.url, { CONFIRMATION_WINDOW_SECONDS: '60' });
    dataSources = [];
  });
  afterEach(async () => {
    expect(await backstage.brokenRules()).toEqual([]);
    for (const dataSource of dataSources) await dataSource.destroy();
    await office.close();
    await backstage.close();
    await database.drop();
  });

  async function openArchivist(): Promise<Archivist> {
    const options = dataSourceOptions({ url: database.url, poolMax: 2, poolMinIdle: 0, pooler: 'none' });
    const dataSource = await new DataSource(options).initialize();
    dataSources.push(dataSource);
    return new Archivist(dataSource);
  }

  /** One that ended so many days ago: some have come, one canceled, and the others waited in vain. */
  async function addPast(
    name: string,
    endedDaysAgo: number,
    people = 8,
    meanwhile: () => Promise<void> = () => Promise.resolve(),
  ): Promise<number> {
    const conferenceId = await backstage.addConference(name, 3);
    const users = await backstage.addUsers(name.toLowerCase().replace(' ', ''), people);
    const booked = await Promise.all(users.map((user) => office.boxOffice.book(user, name)));
    await office.boxOffice.cancel(booked[0]?.bookingId ?? 0, null);
    await meanwhile();
    await passInto(backstage, conferenceId, endedDaysAgo);
    await office.boxOffice.startConference(conferenceId);
    return conferenceId;
  }

  async function moveAll(archivist: Archivist, onMoved: () => Promise<void> | void = () => undefined): Promise<number> {
    let transactions = 0;
    for (; await archivist.moveSome(DAYS); transactions++) await onMoved();
    return transactions;
  }

  const isArchived = async (conferenceId: number): Promise<boolean> => {
    const left = await backstage.query('SELECT FROM bookings WHERE conference_id = $1', [conferenceId]);
    const [row] = await backstage.query<{ done: boolean }>(
      'SELECT archived_at IS NOT NULL AS done FROM conferences WHERE conference_id = $1',
      [conferenceId],
    );
    return left.length === 0 && row?.done === true;
  };

  it('moves what is over for long, whole and in small steps, while people book elsewhere', async () => {
    const [over, young] = [await addPast('Over', DAYS + 1, 350), await addPast('Young', DAYS - 1)];
    await backstage.addConference('Coming', 1_000);
    const users = await backstage.addUsers('coming', 1_000);
    const before = await archivedState(backstage);
    const progress = { isMoving: true };
    let booked = 0;
    const booking = (async (): Promise<void> => {
      for (let user = users.pop(); progress.isMoving && user !== undefined; user = users.pop(), booked++) {
        await office.boxOffice.book(user, 'Coming');
      }
    })();
    const archivist = await openArchivist();
    // At every moment, and not only at the end, every rule holds.
    const transactions = await moveAll(archivist, async () => expect(await backstage.brokenRules(60)).toEqual([]));
    progress.isMoving = false;
    await booking;

    expect(transactions).toBeGreaterThanOrEqual(4);
    expect(booked).toBeGreaterThan(0);
    expect([await isArchived(over), await isArchived(young)]).toEqual([true, false]);
    const after = await archivedState(backstage, ['Over', 'Young']);
    expect(after.rows).toEqual(before.rows);
    // Each came, one canceled, one was offered that slot, and 347 were left at the start.
    expect(after.archived).toEqual({ bookings: 350, transitions: 350 + 1 + 1 + 347 });
  });

  it('moves a history that is longer than one transaction takes, and then its booking', async () => {
    const conferenceId = await addPast('Patient', DAYS + 1, 8, async () => {
      await backstage.query(`INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, at)
        SELECT booking_id, from_status::booking_status, to_status::booking_status, reason, now()
        FROM (SELECT max(booking_id) AS booking_id FROM bookings) patient, generate_series(1, 600) AS round,
          (VALUES (1, 'WAITLISTED', 'ConfirmationPending', 'offered'), (2, 'ConfirmationPending', 'WAITLISTED', 'missed'))
            AS step (n, from_status, to_status, reason)
        ORDER BY round, n`);
    });
    const before = await archivedState(backstage);
    const transactions = await moveAll(await openArchivist(), async () => {
      expect(await backstage.brokenRules()).toEqual([]);
    });
    expect(transactions).toBe(3);
    expect(await isArchived(conferenceId)).toBe(true);
    expect((await archivedState(backstage)).rows).toEqual(before.rows);
  });

  it('is done once where two archivists work at once', async () => {
    for (const name of ['One', 'Two', 'Three', 'Four']) await addPast(name, DAYS + 1, 120);
    const before = await archivedState(backstage);
    const archivists = await Promise.all([openArchivist(), openArchivist()]);
    // Each may pass over what the other has locked, and come to an end before it.
    await Promise.all(archivists.map((archivist) => moveAll(archivist)));
    await moveAll(await openArchivist());
    const after = await archivedState(backstage);
    expect(after.rows).toEqual(before.rows);
    expect(after.live).toEqual({ bookings: 0, transitions: 0 });
  });

  it('waits for no conference that somebody has locked', async () => {
    const [held, free] = [await addPast('Held', DAYS + 2), await addPast('Free', DAYS + 1)];
    const other = await Backstage.open(database.url);
    const release = await other.holdConference(held);
    const archivist = await openArchivist();
    await moveAll(archivist);
    expect([await isArchived(held), await isArchived(free)]).toEqual([false, true]);
    await release();
    await other.close();
    await moveAll(archivist);
    expect(await isArchived(held)).toBe(true);
  });

  it('that is killed in the middle has moved nothing by halves', async () => {
    const conferenceId = await addPast('Killed', DAYS + 1);
    const before = await archivedState(backstage);
    await backstage.query(`CREATE FUNCTION wait_at_door() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$`);
    await backstage.query(`CREATE TRIGGER wait_at_door AFTER INSERT ON archived_bookings
      FOR EACH STATEMENT EXECUTE FUNCTION wait_at_door()`);
    await backstage.query('SELECT pg_advisory_lock(1)');
    const archivist = await openArchivist();
    const moving = archivist.moveSome(DAYS).catch((error: unknown) => error);
    await backstage.whenWaitedFor();
    // Not even the lock's holder sees a row of it.
    expect(await archivedState(backstage)).toEqual(before);
    await backstage.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))`);
    expect(await moving).toBeInstanceOf(Error);
    await backstage.query('SELECT pg_advisory_unlock(1)');
    expect(await archivedState(backstage)).toEqual(before);

    await moveAll(archivist);
    expect(await isArchived(conferenceId)).toBe(true);
    expect((await archivedState(backstage)).rows).toEqual(before.rows);
  });

  it('leaves a confirmed booking that is canceled while its conference is being moved in one piece', async () => {
    const conferenceId = await addPast('Late', DAYS + 1);
    const [row] = await backstage.query<{ booking_id: string }>(
      `SELECT booking_id FROM bookings WHERE status = 'CONFIRMED' ORDER BY booking_id LIMIT 1`,
    );
    const bookingId = Number(row?.booking_id);
    // As after a transaction that took its transitions and not the booking.
    await backstage.query(`WITH moved AS (DELETE FROM booking_transitions RETURNING *)
      INSERT INTO archived_transitions (transition_id, booking_id, from_status, to_status, reason, cause_booking_id, at)
      SELECT transition_id, booking_id, from_status, to_status, reason, cause_booking_id, at FROM moved`);
    expect(await backstage.brokenRules()).toEqual([]);
    await office.boxOffice.cancel(bookingId, null);
    expect(await backstage.brokenRules()).toEqual([]);
    await moveAll(await openArchivist());
    expect(await isArchived(conferenceId)).toBe(true);
  });

  it('keeps who acted in the place of an owner', async () => {
    await addPast('Acted', DAYS + 1);
    await backstage.query(`UPDATE booking_transitions SET organizer_id = 'cleo9' WHERE reason = 'booked'`);
    await moveAll(await openArchivist());
    const kept = await backstage.query(
      'SELECT DISTINCT reason, organizer_id FROM archived_transitions ORDER BY reason',
    );
    expect(kept).toContainEqual({ reason: 'booked', organizer_id: 'cleo9' });
    expect(kept.filter(({ organizer_id }) => organizer_id !== null)).toHaveLength(1);
  });

  it('goes back into the live tables when its migration is taken back', async () => {
    await addPast('Back', DAYS + 1);
    const before = await archivedState(backstage);
    await moveAll(await openArchivist());
    while ((await revertMigration(database.url)).done[0] !== 'Archive1795000000100');
    await runMigrations(database.url);
    expect(await archivedState(backstage)).toEqual(before);
  });

  it('is judged by the audit: what is lost from the archive is found', async () => {
    await addPast('Judged', DAYS + 1);
    await moveAll(await openArchivist());
    for (const [sql, rule] of [
      [`DELETE FROM archived_bookings WHERE status = 'CONFIRMED'`, 'counters equal what they count'],
      [`DELETE FROM archived_transitions WHERE from_status IS NULL`, 'every transition is a legal one'],
      [`UPDATE archived_transitions SET reason = 'missed'`, 'every transition is a legal one'],
      [`DELETE FROM archived_transitions`, 'every booking has transitions'],
      [
        `INSERT INTO bookings SELECT booking_id, conference_id, user_id, status, during, NULL, NULL, 0, created_at
         FROM archived_bookings WHERE status = 'CONFIRMED'`,
        'one active booking per user and conference',
      ],
    ] as const) {
      await backstage.query('BEGIN');
      await backstage.query(sql);
      const broken = await backstage.brokenRules();
      await backstage.query('ROLLBACK');
      expect(broken).toContainEqual(expect.stringContaining(rule));
    }
  });

  describe('as people see it', () => {
    let app: NestFastifyApplication;
    let api: ApiClient;

    beforeEach(async () => {
      const environment = parseEnvironment({
        DATABASE_URL: database.url,
        RETENTION_DAYS: String(DAYS),
        ENABLE_QUEUE_CONSUMERS: 'false',
      });
      app = await createApplication(environment, false);
      await app.listen(0, '127.0.0.1');
      await app.get(Database).connect();
      api = new ApiClient(new URL(await app.getUrl()));
    });
    afterEach(async () => {
      api.close();
      await app.close();
    });

    it('changes nothing that is looked up, and refuses what would change it', async () => {
      await addPast('Seen', DAYS + 1);
      const [confirmed, canceled] = await Promise.all(
        ['CONFIRMED', 'CANCELED'].map(async (status) => {
          const [row] = await backstage.query<{ booking_id: number; user_id: string }>(
            'SELECT booking_id::int, user_id FROM bookings WHERE status = $1 ORDER BY booking_id LIMIT 1',
            [status],
          );
          return row ?? { booking_id: 0, user_id: '' };
        }),
      );
      if (confirmed === undefined || canceled === undefined) throw new Error('Nobody was there');
      const look = async (): Promise<unknown[]> => {
        const answers = await Promise.all([
          api.booking(confirmed.booking_id),
          api.booking(canceled.booking_id),
          api.conferenceBookings('Seen'),
          api.userBookings(confirmed.user_id),
          api.conference('Seen'),
        ]);
        const history = await api.send('GET', `/booking/${canceled.booking_id}/history`);
        return [...answers.map((reply) => (reply.ok ? reply.body : reply.answer)), history.body];
      };
      const before = await look();
      expect(before[2]).toHaveLength(8);
      expect(before[5]).toContainEqual(expect.objectContaining({ to_status: 'CANCELED' }));
      await moveAll(await openArchivist());
      expect(await look()).toEqual(before);

      const ask = async (path: string, body: object): Promise<unknown> => {
        const { status, body: answer } = await api.send('POST', path, body);
        return [status, (answer as { code?: string }).code];
      };
      const { booking_id, user_id } = confirmed;
      expect(await ask('/cancel', { booking_id })).toEqual([400, 'CONFERENCE_OVER']);
      expect(await ask('/cancel', { booking_id, user_id })).toEqual([400, 'CONFERENCE_OVER']);
      expect(await ask('/cancel', { booking_id, user_id: 'mallory' })).toEqual([400, 'ACCESS_DENIED']);
      expect(await ask('/cancel', { booking_id: canceled.booking_id })).toEqual([400, 'ALREADY_CANCELED']);
      expect(await ask('/confirm', { booking_id, user_id })).toEqual([400, 'NOT_CONFIRMATION_PENDING']);
      expect(await ask('/confirm', { booking_id, user_id: 'mallory' })).toEqual([400, 'ACCESS_DENIED']);
      expect(await ask('/cancel', { booking_id: 999_999 })).toEqual([404, 'BOOKING_NOT_FOUND']);
      expect(await look()).toEqual(before);
    });

    it('is left to workers: an API-only instance moves nothing', async () => {
      const conferenceId = await addPast('Api only', DAYS + 1);
      const other = await createApplication(
        parseEnvironment({ DATABASE_URL: database.url, RETENTION_DAYS: String(DAYS), ENABLE_QUEUE_CONSUMERS: 'false' }),
        false,
      );
      await other.listen(0, '127.0.0.1');
      await other.get(Database).connect();
      // A worker begins at once.
      for (let look = 0; look < 20; look++) expect(await api.conference('Api only')).toMatchObject({ ok: true });
      await other.close();
      const worker = await createApplication(
        parseEnvironment({ DATABASE_URL: database.url, RETENTION_DAYS: String(DAYS), WORKER_ONLY: 'true' }),
        false,
      );
      expect(await isArchived(conferenceId)).toBe(false);
      await worker.listen(0, '127.0.0.1');
      await worker.get(Database).connect();
      await eventually(async () => expect(await isArchived(conferenceId)).toBe(true));
      await worker.close();
    });
  });
});

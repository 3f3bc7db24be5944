import { DataSource } from 'typeorm';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApplication } from '../../src/application.js';
import { ApiClient } from '../../src/cli/api-client.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { Database } from '../../src/database/database.js';
import { sqlState } from '../../src/database/failures.js';
import { revertMigration, runMigrations } from '../../src/database/migrate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

/** What a promise was rejected with. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

describe('limits', () => {
  let database: TestDatabase;
  let backstage: Backstage;

  beforeEach(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
  });
  afterEach(async () => {
    expect(await backstage.brokenRules()).toEqual([]);
    await backstage.close();
    await database.drop();
  });

  describe('of a connection', () => {
    let dataSource: DataSource;

    beforeEach(async () => {
      const options = dataSourceOptions({ url: database.url, poolMax: 1, poolMinIdle: 0, pooler: 'none' });
      dataSource = await new DataSource(options).initialize();
    });
    afterEach(() => dataSource.destroy());

    it('end the wait for a lock, and a statement that takes too long, each with the state that says so', async () => {
      const conferenceId = await backstage.addConference('Held', 1);
      const release = await backstage.holdConference(conferenceId);
      const waiting = failureOf(dataSource.query('SELECT 1 FROM conferences FOR NO KEY UPDATE'));
      expect(sqlState(await waiting)).toBe('55P03');
      await release();
      // Before the 8 s of the client, which knows no state.
      expect(sqlState(await failureOf(dataSource.query('SELECT pg_sleep(60)')))).toBe('57014');
    });

    it('have the server end a transaction in which nothing happens, and free its locks', async () => {
      const conferenceId = await backstage.addConference('Frozen', 1);
      const runner = dataSource.createQueryRunner();
      await runner.startTransaction();
      await runner.query('SELECT 1 FROM conferences FOR NO KEY UPDATE');
      // Nobody has to ask for it.
      const release = await backstage.holdConference(conferenceId);
      await release();
      expect(await failureOf(runner.commitTransaction())).toBeInstanceOf(Error);
      await runner.release();
      // The pool has another one for the next.
      expect(await dataSource.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });
  });

  describe('of the pool', () => {
    let app: NestFastifyApplication;
    let api: ApiClient;

    beforeEach(async () => {
      const environment = parseEnvironment({
        DATABASE_URL: database.url,
        DB_POOL_MAX_SIZE: '2',
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

    it('answer 503 where no connection comes free, and serve again when one does', async () => {
      await backstage.addConference('Dry', 1);
      const [user = ''] = await backstage.addUsers('dry', 1);
      const dataSource = app.get<DataSource>(getDataSourceToken());
      const taken = [dataSource.createQueryRunner(), dataSource.createQueryRunner()];
      for (const runner of taken) await runner.connect();

      const answers = await Promise.all([
        api.send('GET', '/conferences'),
        api.send('POST', '/book', { user_id: user, name: 'Dry' }),
      ]);
      expect(answers).toMatchObject([
        { status: 503, body: { code: 'DATABASE_UNAVAILABLE' }, headers: { 'retry-after': '1' } },
        {
          status: 503,
          body: { code: expect.stringMatching(/^(TIMED_OUT|DATABASE_UNAVAILABLE)$/) as string },
          headers: { 'retry-after': '1' },
        },
      ]);
      const [look = 0, booking = 0] = answers.map(({ durationMs }) => durationMs);
      expect(look).toBeLessThan(5_000);
      expect(booking).toBeLessThan(8_000);

      for (const runner of taken) await runner.release();
      expect(await api.send('GET', '/conferences')).toMatchObject({ status: 200 });
      // Whoever was refused was never served.
      expect(await api.book(user, 'Dry')).toMatchObject({ ok: true, body: { booking_id: 1, status: 'CONFIRMED' } });
    });
  });

  describe('of a transaction that cannot succeed at once', () => {
    let office: TestBoxOffice;

    beforeEach(async () => {
      office = await openBoxOffice(database.url, { CONFIRMATION_WINDOW_SECONDS: '60' });
    });
    afterEach(() => office.close());

    /** Every write of transitions fails so many times, as the server lets a transaction fail that it cannot serialize. */
    async function failWrites(times: number): Promise<void> {
      await backstage.query('CREATE SEQUENCE tries');
      // What a sequence gave is given, also when the transaction is rolled back.
      await backstage.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('tries') <= ${times} THEN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END IF;
        RETURN NULL; END $$`);
      await backstage.query(`CREATE TRIGGER refuse BEFORE INSERT ON booking_transitions
        FOR EACH STATEMENT EXECUTE FUNCTION refuse()`);
    }

    async function countTries(): Promise<number> {
      const [row] = await backstage.query<{ tries: number }>('SELECT last_value::int AS tries FROM tries');
      return row?.tries ?? NaN;
    }

    it('it is tried as a whole up to three times: two failures to serialize are overcome', async () => {
      const id = await backstage.addConference('Twice', 1);
      const [user = ''] = await backstage.addUsers('twice', 1);
      await failWrites(2);
      await expect(office.boxOffice.book(user, 'Twice')).resolves.toMatchObject({ status: 'CONFIRMED' });
      expect(await countTries()).toBe(3);
      expect(await backstage.statusesOf(id)).toEqual({ CONFIRMED: 1 });
    });

    it('it is refused with 503 after the third, nothing is done, and the next one succeeds', async () => {
      const id = await backstage.addConference('Thrice', 1);
      const [user = '', other = ''] = await backstage.addUsers('thrice', 2);
      await failWrites(3);
      const refused = await failureOf(office.boxOffice.book(user, 'Thrice'));
      expect(refused).toMatchObject({ kind: 'unavailable', code: 'TIMED_OUT' });
      expect(await countTries()).toBe(3);
      expect(await backstage.statusesOf(id)).toEqual({});
      await expect(office.boxOffice.book(other, 'Thrice')).resolves.toMatchObject({ status: 'CONFIRMED' });
    });

    it('a deadlock with somebody else costs the caller nothing', async () => {
      const id = await backstage.addConference('Knot', 1);
      const [user = ''] = await backstage.addUsers('knot', 1);
      const { bookingId } = await office.boxOffice.book(user, 'Knot');
      // Holds the box office up between the conference, which it has locked, and the booking.
      await backstage.query(`CREATE FUNCTION wait_for_usher() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
        AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$`);
      await backstage.query(`CREATE TRIGGER wait_for_usher BEFORE UPDATE ON bookings
        FOR EACH STATEMENT EXECUTE FUNCTION wait_for_usher()`);
      const usher = await Backstage.open(database.url);
      await usher.query('SELECT pg_advisory_lock(1)');

      // Never the one that finds out: so the box office is the one that is rolled back.
      await backstage.query(`SET deadlock_timeout = '60s'`);
      await backstage.query('BEGIN');
      await backstage.query('SELECT 1 FROM bookings WHERE booking_id = $1 FOR UPDATE', [bookingId]);
      const canceled = office.boxOffice.cancel(bookingId, user);
      await usher.whenWaitedFor();
      const crossed = backstage.query('SELECT 1 FROM conferences WHERE conference_id = $1 FOR UPDATE', [id]);
      await eventually(async () => {
        const knot = await usher.query(`SELECT FROM pg_stat_activity a JOIN pg_stat_activity b
          ON b.pid = ANY (pg_blocking_pids(a.pid)) AND pg_backend_pid() = ANY (pg_blocking_pids(b.pid))`);
        expect(knot).toHaveLength(1);
      });
      await usher.query('SELECT pg_advisory_unlock(1)');

      // Its locks are free: the box office has been rolled back.
      await crossed;
      await backstage.query('COMMIT');
      await expect(canceled).resolves.toBeUndefined();
      await eventually(async () => {
        const sql = 'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()';
        expect(await usher.query(sql)).toEqual([{ deadlocks: 1 }]);
      });
      expect(await backstage.statusesOf(id)).toEqual({ CANCELED: 1 });
      await usher.close();
    });

    it('harms no neighbour, whoever is served late is served once', async () => {
      const id = await backstage.addConference('Neighbours', 5);
      const users = await backstage.addUsers('neighbour', 20);
      await failWrites(4);
      const { values, codes } = await settle(users.map((user) => office.boxOffice.book(user, 'Neighbours')));
      expect([values.length, codes]).toEqual([20, []]);
      expect(await backstage.statusesOf(id)).toEqual({ CONFIRMED: 5, WAITLISTED: 15 });
    });
  });

  describe('of a migration', () => {
    it('end its wait for a table that somebody uses, before everybody else waits behind it', async () => {
      await backstage.query('BEGIN');
      await backstage.query(`DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations' LOOP
          EXECUTE format('LOCK TABLE %I IN ACCESS SHARE MODE', name);
        END LOOP; END $$`);
      expect(sqlState(await failureOf(revertMigration(database.url)))).toBe('55P03');
      await backstage.query('COMMIT');
      expect((await revertMigration(database.url)).done).toHaveLength(1);
      await runMigrations(database.url);
    });
  });
});

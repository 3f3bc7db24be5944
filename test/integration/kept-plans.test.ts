import { setTimeout as pause } from 'node:timers/promises';
import { PLANS_LAST_MS } from '../../src/database/prepared.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice } from '../support/seating.js';

/** So many rows that reading all of a table, or of an index, cannot be taken for a look-up. */
const MANY = 20_000;
const FEW = 500;

describe('a plan that was made when the tables were small', () => {
  let database: TestDatabase;
  let backstage: Backstage;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    // As after a few runs of each statement, only at once.
    await backstage.query(
      `ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET plan_cache_mode = force_generic_plan`,
    );
  });

  afterAll(async () => {
    await backstage.close();
    await database.drop();
  });

  async function rowsRead(): Promise<Record<string, number>> {
    await backstage.query('SELECT pg_stat_force_next_flush()');
    const rows = await backstage.query<{ name: string; read: number }>(
      `SELECT relname AS name, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
         + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::int AS read
       FROM pg_stat_user_tables t`,
    );
    return Object.fromEntries(rows.map(({ name, read }) => [name, read]));
  }

  it('reads no more when they are large', async () => {
    const office = await openBoxOffice(database.url, { DB_POOL_MAX_SIZE: '2', DB_POOL_MIN_IDLE: '2' });
    const { boxOffice } = office;
    const goThrough = async (round: string): Promise<void> => {
      const id = await backstage.addConference(`Rush ${round}`, 1);
      const [first = '', second = '', third = ''] = await backstage.addUsers(round, 3);
      const { bookingId } = await boxOffice.book(first, `Rush ${round}`);
      const offered = await boxOffice.book(second, `Rush ${round}`);
      await boxOffice.book(third, `Rush ${round}`);
      await boxOffice.cancel(bookingId, first);
      await boxOffice.confirm(offered.bookingId, second);
      await boxOffice.cancel(offered.bookingId, null);
      await backstage.query(
        `UPDATE bookings SET confirmation_deadline = created_at WHERE conference_id = $1 AND status = 'ConfirmationPending'`,
        [id],
      );
      await boxOffice.expireOffers(id);
    };
    await goThrough('first');
    // A table that was never analyzed is thought to have ten pages; one that was, what it had then.
    await backstage.query('VACUUM ANALYZE');
    await goThrough('small');
    await backstage.query('SET session_replication_role = replica');
    await backstage.query(`INSERT INTO users (user_id) SELECT 'many' || n FROM generate_series(1, ${MANY}) n`);
    await backstage.query(
      `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
       SELECT 'Many ' || n, 'Hall', '2040-01-01Z', '2040-01-01 01:00Z', 5, 5 FROM generate_series(1, ${MANY}) n`,
    );
    await backstage.query(
      `INSERT INTO bookings (conference_id, user_id, status, during, created_at)
       SELECT conference_id, 'many' || n, 'CONFIRMED', tstzrange(starts_at, ends_at), now()
       FROM generate_series(1, ${MANY}) n JOIN conferences ON name = 'Many ' || n`,
    );
    await backstage.query('SET session_replication_role = origin');
    const before = await rowsRead();
    // Until then the plans may be the old ones.
    await pause(PLANS_LAST_MS);
    await goThrough('large');
    // What a connection has read is known when it ends.
    await office.close();
    const after = await rowsRead();
    for (const name of ['users', 'conferences', 'bookings']) {
      expect({ name, isLookUp: (after[name] ?? 0) - (before[name] ?? 0) < FEW }).toEqual({ name, isLookUp: true });
    }
  });
});

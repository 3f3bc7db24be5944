import { DataSource } from 'typeorm';
import { migrations } from '#migrations';
import { Conference, ConferenceTopic } from '../../src/conferences/conference.entity.js';
import { revertMigration, runMigrations } from '../../src/database/migrate.js';
import { ArchivedBooking } from '../../src/seating/archived-booking.entity.js';
import { ArchivedTransition } from '../../src/seating/archived-transition.entity.js';
import { BookingTransition } from '../../src/seating/booking-transition.entity.js';
import { Booking } from '../../src/seating/booking.entity.js';
import { LineBlock } from '../../src/seating/line-block.entity.js';
import { User, UserInterest } from '../../src/users/user.entity.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { Backstage } from '../support/seating.js';

const NAMES = migrations.map(({ name }) => name);

describe('the schema', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createEmptyDatabase();
  });

  afterEach(async () => {
    await database.drop();
  });

  async function tables(): Promise<string[]> {
    const backstage = await Backstage.open(database.url);
    const rows = await backstage.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'
       UNION ALL SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE nspname = 'public' AND typtype = 'e'`,
    );
    await backstage.close();
    return rows.map(({ name }) => name).sort();
  }

  it('goes forward, back to nothing, and forward again', async () => {
    expect(await runMigrations(database.url)).toEqual({ done: NAMES, unknown: [] });
    const full = await tables();
    expect(full).toContain('bookings');
    for (const name of [...NAMES].reverse()) {
      expect(await revertMigration(database.url)).toEqual({ done: [name], unknown: [] });
    }
    expect(await tables()).toEqual(['migrations']);
    expect(await revertMigration(database.url)).toEqual({ done: [], unknown: [] });
    await runMigrations(database.url);
    expect(await tables()).toEqual(full);
  });

  it('is made once when many instances start together', async () => {
    const reports = await Promise.all(Array.from({ length: 4 }, () => runMigrations(database.url)));
    expect(reports.flatMap(({ done }) => done)).toEqual(NAMES);
  });

  it('that is ahead of this code is reported, and left alone', async () => {
    await runMigrations(database.url);
    const backstage = await Backstage.open(database.url);
    await backstage.query(
      "INSERT INTO migrations (timestamp, name) VALUES (9999999999999, 'FromTheFuture9999999999999')",
    );
    await backstage.close();
    expect(await runMigrations(database.url)).toEqual({ done: [], unknown: ['FromTheFuture9999999999999'] });
  });

  it('is what the entities say: to generate a migration from them would yield nothing', async () => {
    await runMigrations(database.url);
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      entities: [
        User,
        UserInterest,
        Conference,
        ConferenceTopic,
        Booking,
        BookingTransition,
        LineBlock,
        ArchivedBooking,
        ArchivedTransition,
      ],
    });
    await dataSource.initialize();
    try {
      const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    } finally {
      await dataSource.destroy();
    }
  });
});

import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { isDatabaseAway, violatedConstraint } from '../../src/database/failures.js';
import { FlightTransaction, statement } from '../../src/database/flights.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { Backstage, openBoxOffice } from '../support/seating.js';

describe('a transaction in flights', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let proxy: Proxy;
  let url: URL;
  let dataSource: DataSource;

  const topics = (): Promise<{ user_id: string }[]> => backstage.query('SELECT user_id FROM users ORDER BY user_id');
  const add = (userId: string) => statement<never>('INSERT INTO users (user_id) VALUES ($1)', [userId]);
  const count = statement<{ count: number }>('SELECT count(*)::int AS count FROM users', []);

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    url = new URL(database.url);
    proxy = await startProxy(url);
    url.port = String(proxy.port);
    // One connection: what a transaction leaves behind on it, the next one finds.
    const options = dataSourceOptions({ url: url.href, poolMax: 1, poolMinIdle: 0, pooler: 'none' });
    dataSource = await new DataSource(options).initialize();
  });

  beforeEach(() => backstage.query('TRUNCATE users CASCADE'));

  afterAll(async () => {
    await dataSource.destroy();
    await proxy.close();
    await backstage.close();
    await database.drop();
  });

  it('brings the rows of each statement back, in order, and each one sees what those before it did', async () => {
    const transaction = await FlightTransaction.on(dataSource);
    const rows = await transaction.send(count, add('ada1'), null, count);
    expect(rows).toEqual([[{ count: 0 }], [], [], [{ count: 1 }]]);
    expect(await topics()).toEqual([]);
    await transaction.commit(add('bob1'));
    await transaction.end();
    expect(await topics()).toEqual([{ user_id: 'ada1' }, { user_id: 'bob1' }]);
  });

  it('is rolled back where it ends before COMMIT', async () => {
    const transaction = await FlightTransaction.on(dataSource);
    await transaction.send(add('ada1'));
    await transaction.end();
    expect(await topics()).toEqual([]);
  });

  it.each(['send', 'commit'] as const)(
    'does nothing where one statement of a %s fails, and says which',
    async (how) => {
      const transaction = await FlightTransaction.on(dataSource);
      const failure: unknown = await transaction[how](add('ada1'), add('no user id'), add('bob1')).catch(
        (error: unknown) => error,
      );
      await transaction.end();
      expect(violatedConstraint(failure)).toBe('users_user_id_check');
      expect(await topics()).toEqual([]);
      const next = await FlightTransaction.on(dataSource);
      await next.commit(add('ada1'));
      await next.end();
      expect(await topics()).toEqual([{ user_id: 'ada1' }]);
    },
  );

  it('leaves no connection that is lost to the next one', async () => {
    const transaction = await FlightTransaction.on(dataSource);
    await transaction.send(add('ada1'));
    proxy.cutAll();
    const failure: unknown = await transaction.commit(add('bob1')).catch((error: unknown) => error);
    expect(isDatabaseAway(failure)).toBe(true);
    await transaction.discard();
    await transaction.end();
    const next = await FlightTransaction.on(dataSource);
    expect(await next.send(count)).toEqual([[{ count: 0 }]]);
    await next.end();
  });

  it('goes to the database twice: to lock and read, and to write and commit', async () => {
    await backstage.addConference('Two ways', 2);
    const users = await backstage.addUsers('way', 4);
    const office = await openBoxOffice(url.href, { SWEEP_INTERVAL_SECONDS: '3600' });
    const book = () => Promise.all(users.map((user) => office.boxOffice.book(user, 'Two ways')));
    const booked = await book();
    await Promise.all(booked.map(({ bookingId }) => office.boxOffice.cancel(bookingId, null)));
    const packets: string[] = [];
    proxy.judge = (chunk) => {
      packets.push(chunk.toString('latin1'));
      return 'pass';
    };
    const [first] = await book();
    // Somebody waits, and is offered the slot.
    await office.boxOffice.cancel(first?.bookingId ?? 0, null);
    proxy.judge = () => 'pass';
    await office.close();
    expect(packets.map((packet) => /START TRANSACTION|COMMIT/.exec(packet)?.[0])).toEqual([
      'START TRANSACTION',
      'COMMIT',
      'START TRANSACTION',
      'COMMIT',
    ]);
    expect(packets.at(-1)).toContain('offered');
  });
});

import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { User } from '../../src/users/user.entity.js';
import { UsersService } from '../../src/users/users.service.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('users who register at the same time', () => {
  let database: TestDatabase;
  /** Two instances. */
  const services: { users: UsersService; dataSource: DataSource }[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    for (let count = 0; count < 2; count++) {
      const options = dataSourceOptions({ url: database.url, poolMax: 1, poolMinIdle: 0, pooler: 'none' });
      const dataSource = await new DataSource({ ...options, entities: [User] }).initialize();
      services.push({ users: new UsersService(dataSource.getRepository(User)), dataSource });
    }
  });
  afterAll(async () => {
    for (const { dataSource } of services) await dataSource.destroy();
    await database.drop();
  });

  const service = (index: number): (typeof services)[number] => {
    const found = services[index];
    if (found === undefined) throw new Error('There are two instances');
    return found;
  };
  const one = (): UsersService => service(0).users;
  const other = (): UsersService => service(1).users;
  const outcomes = async (asked: Promise<void>[]): Promise<string[]> =>
    (await Promise.allSettled(asked)).map((each) =>
      each.status === 'fulfilled' ? 'added' : (each.reason as Error).message,
    );
  const inDatabase = (sql: string): Promise<unknown> => service(0).dataSource.query(sql);

  it('share a transaction, and each has their own topics', async () => {
    const ids = Array.from({ length: 300 }, (_, index) => `many${index}`);
    expect(new Set(await outcomes(ids.map((id) => one().add(id, [`of ${id}`, 'all']))))).toEqual(new Set(['added']));
    expect(
      await inDatabase(`SELECT count(*)::int AS topics, count(DISTINCT user_id)::int AS users,
        count(*) FILTER (WHERE topic IN ('all', 'of ' || user_id))::int AS own FROM user_interests WHERE user_id LIKE 'many%'`),
    ).toEqual([{ topics: 600, users: 300, own: 600 }]);
    const [{ transactions }] = (await inDatabase(
      `SELECT count(DISTINCT xmin::text)::int AS transactions FROM users WHERE user_id LIKE 'many%'`,
    )) as [{ transactions: number }];
    expect(transactions).toBeLessThan(30);
  });

  it('are added once, whoever asks: of equals in one statement, the first', async () => {
    const said = await outcomes([
      one().add('twin', ['first']),
      one().add('twin', ['second']),
      one().add('twin', ['a']),
    ]);
    expect(said).toEqual(['added', 'User already exists', 'User already exists']);
    expect(await inDatabase(`SELECT topic FROM user_interests WHERE user_id = 'twin'`)).toEqual([{ topic: 'first' }]);
    expect(await outcomes([one().add('twin', ['late'])])).toEqual(['User already exists']);
  });

  it('are added once by two instances, which do not wait for each other in a circle', async () => {
    const said: string[] = [];
    for (let round = 0; round < 20; round++) {
      const ids = Array.from({ length: 64 }, (_, index) => `race${round}x${index}`);
      const both = await Promise.all([
        outcomes(ids.map((id) => one().add(id, ['here']))),
        outcomes(ids.toReversed().map((id) => other().add(id, ['there']))),
      ]);
      said.push(...both.flat());
    }
    expect(said.filter((each) => each === 'added')).toHaveLength(20 * 64);
    expect(said.filter((each) => each === 'User already exists')).toHaveLength(20 * 64);
    expect(await inDatabase(`SELECT count(*)::int FROM user_interests WHERE user_id LIKE 'race%'`)).toEqual([
      { count: 20 * 64 },
    ]);
    for (const { dataSource } of services) {
      await dataSource.query('SELECT pg_stat_force_next_flush()');
      const counted = 'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()';
      expect(await dataSource.query(counted)).toEqual([{ deadlocks: 0 }]);
    }
  });

  it('do not fail for another in the same statement', async () => {
    const said = await outcomes([
      one().add('before', ['a']),
      one().add('not valid', ['a']),
      one().add('after', ['a']),
      one().add('topics', ['a', 'a']),
    ]);
    expect(said).toEqual([
      'added',
      expect.stringContaining('users_user_id_check'),
      'added',
      expect.stringContaining('user_interests_pkey'),
    ]);
  });
});

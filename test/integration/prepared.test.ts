import { DataSource, QueryFailedError } from 'typeorm';
import type { Pooler } from '../../src/config/environment.js';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { sqlState } from '../../src/database/failures.js';
import { prepared } from '../../src/database/prepared.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const STATEMENTS = `SELECT name FROM pg_prepared_statements WHERE statement LIKE $1 AND NOT from_sql`;

describe('a prepared statement', () => {
  let database: TestDatabase;
  const open: DataSource[] = [];

  /** With one connection, so that what it has prepared can be seen. */
  async function connect(pooler: Pooler, isHurried = true): Promise<DataSource> {
    const options = dataSourceOptions({ url: database.url, poolMax: 1, poolMinIdle: 0, pooler, isHurried });
    const dataSource = await new DataSource(options).initialize();
    open.push(dataSource);
    return dataSource;
  }

  const namesOf = async (dataSource: DataSource, like: string): Promise<string[]> =>
    (await dataSource.query<{ name: string }[]>(STATEMENTS, [like])).map(({ name }) => name);

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => Promise.all(open.splice(0).map((dataSource) => dataSource.destroy())));
  afterAll(() => database.drop());

  it('is prepared once by each connection, under the same name, and gives its rows', async () => {
    const text = 'SELECT $1::int + 1 AS next';
    const [one, other] = [await connect('none'), await connect('none')];
    for (const value of [1, 2, 3]) {
      expect(await prepared(one.manager, text, [value])).toEqual([{ next: value + 1 }]);
    }
    expect(await prepared(other.manager, text, [7])).toEqual([{ next: 8 }]);
    const names = await namesOf(one, text);
    expect(names).toEqual([expect.stringMatching(/^p[0-9a-f]{20}$/)]);
    expect(await namesOf(other, text)).toEqual(names);
  });

  it.each([
    ['a pooler', 'transaction', true],
    ['a command, which reads whole tables,', 'none', false],
  ] as const)('is a plain one for %s', async (_who, pooler, isHurried) => {
    const dataSource = await connect(pooler, isHurried);
    expect(await prepared(dataSource.manager, 'SELECT $1::int AS plain', [1])).toEqual([{ plain: 1 }]);
    expect(await namesOf(dataSource, '%')).toEqual([]);
  });

  it('works within a transaction, on its connection', async () => {
    const dataSource = await connect('none');
    await dataSource.transaction(async (manager) => {
      await manager.query('CREATE TEMPORARY TABLE mine (id int) ON COMMIT DROP');
      await prepared(manager, 'INSERT INTO mine (id) VALUES ($1::int) RETURNING id', [5]);
      expect(await manager.query('SELECT id FROM mine')).toEqual([{ id: 5 }]);
    });
  });

  it('hides no error, and gives its connection back', async () => {
    const dataSource = await connect('none');
    for (const [text, value, state] of [
      ['SELECT 1 / $1::int AS share', 0, '22012'],
      ['SELECT nonsense($1::int)', 0, '42883'],
      ['INSERT INTO users (user_id) VALUES ($1)', 'not valid', '23514'],
    ] as const) {
      const error: unknown = await prepared(dataSource.manager, text, [value]).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(QueryFailedError);
      expect(sqlState(error)).toBe(state);
    }
    // The only connection is there for the next.
    expect(await prepared(dataSource.manager, 'SELECT 1 / $1::int AS share', [1])).toEqual([{ share: 1 }]);
  });

  it('has a plan that is still right when a table has grown that was small at the time', async () => {
    const dataSource = await connect('none');
    await dataSource.query(`INSERT INTO users (user_id) VALUES ('ada')`);
    await dataSource.query('ANALYZE users');
    const text = 'SELECT created_at FROM users WHERE user_id = $1';
    // From the sixth time on the server may keep one plan for all.
    for (let count = 0; count < 8; count++) await prepared(dataSource.manager, text, ['ada']);
    const [name] = await namesOf(dataSource, text);
    const plan = await dataSource.query<object[]>(`EXPLAIN EXECUTE ${name ?? ''}('ada')`);
    expect(JSON.stringify(plan)).toContain('users_pkey');
    expect(JSON.stringify(plan)).toContain('$1');
  });

  it('is one of at most 200; those after it are plain', async () => {
    const dataSource = await connect('none');
    for (let count = 0; count < 250; count++) {
      expect(await prepared(dataSource.manager, `SELECT $1::int AS v, ${count} AS n`, [1])).toEqual([
        { v: 1, n: count },
      ]);
    }
    const names = await namesOf(dataSource, '%');
    expect(names.length).toBeGreaterThan(100);
    expect(names.length).toBeLessThanOrEqual(200);
  });
});

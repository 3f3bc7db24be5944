import { DataSource } from 'typeorm';
import type { Answered, Idempotency } from '../../src/seating/idempotency.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

describe('idempotency keys in the box office', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let office: TestBoxOffice;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    office = await openBoxOffice(database.url);
  });
  afterAll(async () => {
    await office.close();
    await backstage.close();
    await database.drop();
  });

  const keyed = (key: string, fingerprint = 'same'): Idempotency => ({
    route: 'book',
    key,
    fingerprint,
    answerTo: (outcome) => ({ status: outcome.kind === 'booked' ? 201 : 400, body: JSON.stringify(outcome) }),
  });

  it('that are equal in one batch are one request', async () => {
    const [user = '', other = ''] = await backstage.addUsers('batch', 2);
    await backstage.addConference('Batch', 5);
    const ask = (userId: string, idempotency: Idempotency): Promise<Answered> =>
      office.boxOffice.ask({ kind: 'book', userId, conferenceName: 'Batch' }, idempotency);
    const { values, codes } = await settle([
      ask(user, keyed('one')),
      ask(user, keyed('one')),
      ask(other, keyed('one', 'another')),
      ask(user, keyed('two')),
      ask(user, keyed('one')),
    ]);
    const [first, second, refused, third] = values;
    expect(first).toMatchObject({ isReplay: false, answer: { status: 201 } });
    expect(second).toEqual({ ...first, isReplay: true });
    expect(refused).toMatchObject({ isReplay: false, answer: { status: 400 } });
    expect(refused?.answer.body).toContain('ALREADY_BOOKED');
    expect(third).toEqual({ ...first, isReplay: true });
    expect(codes).toEqual(['IDEMPOTENCY_KEY_REUSED']);
    expect(await backstage.query('SELECT FROM booking_transitions')).toHaveLength(1);
  });

  it('that are too old are forgotten in small batches, and the others stay', async () => {
    await backstage.query('TRUNCATE idempotency_keys');
    await backstage.query(
      `INSERT INTO idempotency_keys (route, key, fingerprint, status, body, created_at)
       SELECT 'book', n::text, '', 201, '', now() - CASE WHEN n <= 1200 THEN interval '25 hours' ELSE interval '23 hours' END
       FROM generate_series(1, 1210) n`,
    );
    const query = jest.spyOn(DataSource.prototype, 'query');
    expect(await office.cleanup.forget()).toBe(1_200);
    expect(query).toHaveBeenCalledTimes(3);
    query.mockRestore();
    expect(await backstage.query('SELECT FROM idempotency_keys')).toHaveLength(10);
  });
});

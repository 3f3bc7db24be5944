import { FlightTransaction, type Statement } from '../../src/database/flights.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

const HOUR = 3_600;

describe('the limit of active bookings', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let limited: TestBoxOffice;
  let unlimited: TestBoxOffice;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    limited = await openBoxOffice(database.url, { MAX_ACTIVE_BOOKINGS_PER_USER: '2' });
    unlimited = await openBoxOffice(database.url);
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(async () => {
    await limited.close();
    await unlimited.close();
    expect(await backstage.brokenRules()).toEqual([]);
    await backstage.close();
    await database.drop();
  });

  /** Conferences of an hour each, one after the other. */
  async function addConferences(prefix: string, count: number): Promise<string[]> {
    const names = Array.from({ length: count }, (_, index) => `${prefix} ${index + 1}`);
    for (const [index, name] of names.entries()) await backstage.addConference(name, 1, 1_000_000 + index * HOUR);
    return names;
  }

  /** The texts of all statements that are sent meanwhile. */
  function listen(): string[] {
    type Flight = (Statement<unknown> | null)[];
    const texts: string[] = [];
    const send = Reflect.get(FlightTransaction.prototype, 'send') as (...flight: Flight) => Promise<never>;
    const overheard = function (this: FlightTransaction, ...flight: Flight): Promise<never> {
      texts.push(...flight.flatMap((each) => each?.text ?? []));
      return send.apply(this, flight);
    };
    jest.spyOn(FlightTransaction.prototype, 'send').mockImplementation(overheard);
    return texts;
  }

  it('counts whoever waits, and nothing that was canceled or has ended', async () => {
    const [first = '', second = '', third = '', fourth = ''] = await addConferences('Kept', 4);
    const [user = '', other = ''] = await backstage.addUsers('kept', 2);
    await limited.boxOffice.book(other, second);
    const { bookingId } = await limited.boxOffice.book(user, first);
    expect(await limited.boxOffice.book(user, second)).toMatchObject({ status: 'WAITLISTED' });

    const refused = async (name: string): Promise<string[]> =>
      (await settle([limited.boxOffice.book(user, name)])).codes;
    expect(await refused(third)).toEqual(['TOO_MANY_BOOKINGS']);
    await limited.boxOffice.cancel(bookingId, user);
    await limited.boxOffice.book(user, third);
    expect(await refused(fourth)).toEqual(['TOO_MANY_BOOKINGS']);

    await backstage.query(
      `WITH ended AS (
         UPDATE conferences SET starts_at = clock_timestamp() - interval '2 h', ends_at = clock_timestamp() - interval '1 ms'
         WHERE name = $1 RETURNING *
       )
       UPDATE bookings b SET during = tstzrange(starts_at, ends_at) FROM ended e WHERE b.conference_id = e.conference_id`,
      [third],
    );
    await limited.boxOffice.book(user, fourth);
  });

  it('asks the database nothing where there is none', async () => {
    const [name = '', another = ''] = await addConferences('Asked', 2);
    const users = await backstage.addUsers('asked', 2);
    const ofUsers = 'WHERE b.user_id = ANY';
    const texts = listen();
    await settle(users.map((user) => unlimited.boxOffice.book(user, name)));
    expect(texts.length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes(ofUsers))).toEqual([]);
    await settle(users.map((user) => limited.boxOffice.book(user, another)));
    expect(texts.filter((text) => text.includes(ofUsers))).not.toEqual([]);
  });
});

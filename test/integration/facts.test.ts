import { batchCommitted, commandAnswered } from '../../src/common/facts.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { Backstage, openBoxOffice, settle, type TestBoxOffice } from '../support/seating.js';

type Told<Fact> = Fact extends { tell(what: infer What): void } ? What : never;

describe('what the box office tells', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let office: TestBoxOffice;
  let answers: Told<typeof commandAnswered>[];
  let batches: Told<typeof batchCommitted>[];
  let endings: (() => void)[];

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
  beforeEach(() => {
    answers = [];
    batches = [];
    endings = [
      commandAnswered.listen((answer) => answers.push(answer)),
      batchCommitted.listen((batch) => batches.push(batch)),
    ];
  });
  afterEach(() => {
    for (const end of endings) end();
  });

  /** How many there are of each answer. */
  function count(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { command, outcome } of answers)
      counts[`${command} ${outcome}`] = (counts[`${command} ${outcome}`] ?? 0) + 1;
    return counts;
  }

  it('is each batch once, with the looks in it, and each answer of a person', async () => {
    const users = await backstage.addUsers('together', 20);
    const conferenceId = await backstage.addConference('Together', 5);
    await settle([...users, 'nobody'].map((user) => office.boxOffice.book(user, 'Together')));
    expect(count()).toEqual({ 'book CONFIRMED': 5, 'book WAITLISTED': 15, 'book USER_NOT_FOUND': 1 });
    expect(batches).toMatchObject([{ commands: 21, lateness: { offers: [], starts: [] } }]);
    const [batch] = batches;
    expect(batch?.durationMs).toBeGreaterThan(0);
    expect(batch?.transitions.map(({ reason }) => reason)).toEqual([
      ...Array<string>(5).fill('booked'),
      ...Array<string>(15).fill('joined_waitlist'),
    ]);
    await office.boxOffice.expireOffers(conferenceId);
    expect(batches.slice(1)).toMatchObject([{ commands: 1, transitions: [] }]);
    expect(answers).toHaveLength(21);
  });

  it('is once that something was carried out, also where it was asked twice in one batch', async () => {
    const [user = ''] = await backstage.addUsers('twice', 1);
    await backstage.addConference('Twice', 5);
    const idempotency = { route: 'book', key: 'k', fingerprint: 'f', answerTo: () => ({ status: 201, body: '' }) };
    const command = { kind: 'book', userId: user, conferenceName: 'Twice' } as const;
    await Promise.all([office.boxOffice.ask(command, idempotency), office.boxOffice.ask(command, idempotency)]);
    expect(count()).toEqual({ 'book CONFIRMED': 1, 'book REPLAYED': 1 });
    expect(batches).toHaveLength(1);
  });

  it('is also whom it refuses without a transaction: one too many, and all who waited too long', async () => {
    const [user = ''] = await backstage.addUsers('held', 1);
    const conferenceId = await backstage.addConference('Held', 5);
    const release = await backstage.holdConference(conferenceId);
    const { waitingMost } = office.boxOffice;
    const outcomes = settle(Array.from({ length: waitingMost + 1 }, () => office.boxOffice.book(user, 'Held')));
    expect(office.boxOffice.waiting).toBe(waitingMost);
    expect(count()).toEqual({ 'book OVERLOADED': 1 });
    expect((await outcomes).values).toEqual([]);
    await release();
    expect(count()).toEqual({ 'book OVERLOADED': 1, 'book TIMED_OUT': waitingMost });
    expect(office.boxOffice.waiting).toBe(0);
  });

  it('is heard by nobody who has ended to listen', async () => {
    for (const end of endings.splice(0)) end();
    expect([commandAnswered.isHeard, batchCommitted.isHeard]).toEqual([false, false]);
    const [user = ''] = await backstage.addUsers('silent', 1);
    await backstage.addConference('Silent', 1);
    await office.boxOffice.book(user, 'Silent');
    expect([answers, batches]).toEqual([[], []]);
  });
});

import { setImmediate } from 'node:timers/promises';
import { ApiClient, type BookResult, type ConferenceBooking } from '../../src/cli/api-client.js';
import { Random } from '../../src/cli/demo/random.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { type Entry, History } from './instances/history.js';
import { Queues } from './support.js';

const INSTANCES = 3;
const CLIENTS = 24;
const REQUESTS_EACH = 100;
const USERS = 40;
const WINDOW_SECONDS = 0.5;
const HOUR_MS = 3_600_000;

/** `INSTANCES_SEED=N npm test -- test/e2e/instances` has the same people want the same; who comes first is chance. */
const SEED = Number(process.env.INSTANCES_SEED ?? Math.floor(Math.random() * 1_000_000_000));

const TIMEOUT_MS = 300_000;

/** Hours from now, and slots: overlapping, back to back, and one that starts while everybody is at it. */
const CONFERENCES = [
  { from: 100, to: 102, slots: 1 },
  { from: 101, to: 103, slots: 2 },
  { from: 102, to: 104, slots: 3 },
  { from: 200, to: 201, slots: 5 },
  { from: 300, to: 301, slots: 1 },
  { from: 5_000 / HOUR_MS, to: 1, slots: 2 },
];

describe('many clients on three instances', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let services: Service[];
  let apis: ApiClient[];

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    const env = { DATABASE_URL: database.url, ...queues.env, SWEEP_INTERVAL_SECONDS: '1' };
    services = await Promise.all(Array.from({ length: INSTANCES }, () => startService(env, { until: 'ready' })));
    apis = services.map(({ url }) => new ApiClient(new URL(url)));
    await queues.whenConsumed(INSTANCES);
  });

  afterAll(async () => {
    for (const api of apis) api.close();
    await Promise.all(services.map((service) => service.stop()));
    await queues.close();
    await backstage.close();
    await database.drop();
  });

  async function addConferences(): Promise<string[]> {
    const names = CONFERENCES.map((_, index) => `Instances ${index + 1}`);
    for (const [index, { from, to, slots }] of CONFERENCES.entries()) {
      const now = Date.now();
      const reply = await apis[0]?.addConference({
        name: names[index] ?? '',
        location: 'Hall',
        start: new Date(now + from * HOUR_MS).toISOString(),
        end: new Date(now + to * HOUR_MS).toISOString(),
        slots,
        topics: ['all'],
      });
      expect(reply?.answer.status).toBe(201);
    }
    return names;
  }

  /** One who books, confirms and cancels at random, for anybody, by any instance, and writes down every answer. */
  class Client {
    readonly journal: Entry[] = [];

    constructor(
      private readonly random: Random,
      private readonly users: readonly string[],
      private readonly names: readonly string[],
      /** What anybody has been told of, and whose it is. */
      private readonly known: { bookingId: number; userId: string }[],
    ) {}

    async act(): Promise<void> {
      const kind = this.random.next();
      if (kind < 0.4) await this.book();
      else if (kind < 0.6) await this.cancel();
      else if (kind < 0.7) await this.confirmAny();
      else await this.confirmWhatIsOffered();
    }

    /** Everybody wants this conference, whoever has a slot gives it back, and nobody takes what is offered. */
    async leaveOffers(name: string): Promise<void> {
      for (const userId of this.users) await this.bookFor(userId, name);
      const reply = await this.api.conferenceBookings(name);
      expect(reply.answer.status).toBe(200);
      const confirmed = (reply.answer.body as ConferenceBooking[]).filter(({ status }) => status === 'CONFIRMED');
      for (const { booking_id: bookingId, user_id: userId } of confirmed) {
        await this.ask('cancel', '/cancel', { booking_id: bookingId }, { bookingId, userId });
      }
    }

    private book(): Promise<void> {
      return this.bookFor(this.random.pick(this.users) ?? '', this.random.pick(this.names) ?? '');
    }

    private async bookFor(userId: string, name: string): Promise<void> {
      const entry = await this.ask('book', '/book', { user_id: userId, name }, { userId, name, bookingId: 0 });
      if (entry.status === 201) this.known.push({ bookingId: entry.bookingId, userId });
    }

    private async cancel(): Promise<void> {
      const target = this.random.pick(this.known);
      if (target !== undefined) await this.ask('cancel', '/cancel', { booking_id: target.bookingId }, target);
    }

    private async confirmAny(): Promise<void> {
      const target = this.random.pick(this.known);
      if (target === undefined) return;
      const userId = this.random.next() < 0.5 ? target.userId : (this.random.pick(this.users) ?? '');
      await this.confirm(target.bookingId, userId);
    }

    private async confirmWhatIsOffered(): Promise<void> {
      const reply = await this.api.conferenceBookings(this.random.pick(this.names) ?? '');
      expect(reply.answer.status).toBe(200);
      const offers = (reply.answer.body as ConferenceBooking[]).filter(({ can_confirm }) => can_confirm);
      const offer = this.random.pick(offers);
      if (offer !== undefined) await this.confirm(offer.booking_id, offer.user_id);
    }

    private async confirm(bookingId: number, userId: string): Promise<void> {
      await this.ask('confirm', '/confirm', { booking_id: bookingId, user_id: userId }, { bookingId, userId });
    }

    private get api(): ApiClient {
      const api = this.random.pick(apis);
      if (api === undefined) throw new Error('No instance runs');
      return api;
    }

    private async ask(
      what: Entry['what'],
      path: string,
      body: object,
      about: { userId: string; bookingId: number; name?: string },
    ): Promise<Entry> {
      const sentAt = Date.now();
      const answer = await this.api.send('POST', path, body);
      const told = answer.body as Partial<BookResult> & { code?: string };
      const entry: Entry = {
        what,
        userId: about.userId,
        name: about.name ?? null,
        bookingId: told.booking_id ?? about.bookingId,
        status: answer.status,
        code: told.code,
        booked: told.status,
        position: told.waitlist_position,
        sentAt,
        answeredAt: Date.now(),
      };
      this.journal.push(entry);
      return entry;
    }
  }

  it(
    'lose nothing, do nothing twice, jump no queue, and are refused nothing without a reason',
    async () => {
      process.stdout.write(`The seed of these clients: INSTANCES_SEED=${SEED}\n`);
      const users = await backstage.addUsers('instances', USERS);
      const names = await addConferences();
      const known: { bookingId: number; userId: string }[] = [];
      const clients = Array.from(
        { length: CLIENTS },
        (_, index) => new Client(new Random(SEED + index), users, names, known),
      );
      let turns = 0;
      await Promise.all(
        clients.map(async (client) => {
          for (let turn = 0; turn < REQUESTS_EACH; turn++) {
            await client.act();
            // Now and then every timer that waits is lost.
            if (++turns % 200 === 0) await queues.purgeDelayed();
            await setImmediate();
          }
        }),
      );
      await clients[0]?.leaveOffers(names[4] ?? '');
      await eventually(async () => {
        const missed = await backstage.query("SELECT FROM booking_transitions WHERE reason = 'missed' LIMIT 1");
        expect(missed).toHaveLength(1);
      });
      const journal = clients.flatMap((client) => client.journal);
      // What is due is dealt with; offers that nobody takes go round for ever.
      await eventually(async () => expect(await backstage.brokenRules(2)).toEqual([]), { timeoutMs: 30_000 });
      await eventually(
        async () => {
          const open = await backstage.query(
            'SELECT FROM conferences WHERE starts_at <= now() + make_interval(secs => 10) AND waitlist_closed_at IS NULL',
          );
          expect(open).toHaveLength(0);
        },
        { timeoutMs: 60_000 },
      );

      const history = await History.read(backstage);
      history.expectSameSuccesses(journal);
      history.expectFairness(journal);
      history.expectReasons(journal);
      expect(await backstage.brokenRules(3_600)).toEqual([]);
      for (const reason of ['booked', 'joined_waitlist', 'offered', 'missed', 'canceled']) {
        expect([reason, history.counts[reason] ?? 0]).not.toEqual([reason, 0]);
      }
    },
    TIMEOUT_MS,
  );
});

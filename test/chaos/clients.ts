import { setTimeout as pause } from 'node:timers/promises';
import {
  type Answer,
  ApiClient,
  type Booking,
  type BookResult,
  type Reply,
  ServiceUnreachable,
} from '../../src/cli/api-client.js';
import { atMost } from '../../src/cli/at-most.js';
import { Random } from '../../src/cli/demo/random.js';
import type { Ground } from './ground.js';
import type { Ask, Entry, Journal, Told } from './journal.js';
import { API_INSTANCES, type InstanceName, planConferences, type PlannedConference } from './plan.js';

const CLIENTS = 40;
const CONNECTIONS = 64;
/** A client rests for so long between two turns, ms. */
const REST_MS = [100, 500] as const;
/** How likely it is, in one turn, that … */
const CHANCE = {
  books: 0.6,
  takesOffer: 0.55,
  declinesOffer: 0.1,
  givesUpSeat: 0.15,
  leavesLine: 0.05,
  triesForSomebodyElse: 0.03,
  asksTwiceAtOnce: 0.1,
  asksAgainAfterSilence: 0.5,
  namesOwner: 0.5,
};
const SEEN_KEPT = 200;

type SeatAsk = Exclude<Ask, { kind: 'look' }>;

/** Many people who book, confirm and cancel on whichever instance, and write down what each of them was told. */
export class Crowd {
  private readonly apis: ReadonlyMap<InstanceName, ApiClient>;
  private readonly users = Array.from({ length: CLIENTS }, (_, index) => `user${index + 1}`);
  private readonly conferences: readonly PlannedConference[];
  /** Numbers of bookings, whoever's, the latest last. */
  private readonly seen: number[] = [];
  private isOver = false;

  constructor(
    ground: Ground,
    private readonly journal: Journal,
    private readonly options: { seed: number; seconds: number },
  ) {
    this.apis = new Map(API_INSTANCES.map((name) => [name, new ApiClient(ground.instance(name).url, CONNECTIONS)]));
    this.conferences = planConferences(options);
  }

  /** Adds everybody, and the conferences: their starts count from now. */
  async arrive(): Promise<void> {
    const [api] = this.apis.values();
    if (api === undefined) return;
    await atMost(8, this.users, async (userId) => expectDone(await api.addUser({ user_id: userId, topics: ['all'] })));
    const now = Date.now();
    for (const { name, slots, startsInMs, lengthMs } of this.conferences) {
      const [start, end] = [now + startsInMs, now + startsInMs + lengthMs].map((at) => new Date(at).toISOString());
      const conference = { name, slots, start: start ?? '', end: end ?? '', location: 'Hall', topics: ['all'] };
      expectDone(await api.addConference(conference));
    }
  }

  /** Goes on until {@link leave}, and then until the last answer. */
  async play(): Promise<void> {
    await Promise.all(
      this.users.map((userId, index) => this.playOne(userId, new Random(this.options.seed + 2 + index))),
    );
    for (const api of this.apis.values()) api.close();
  }

  leave(): void {
    this.isOver = true;
  }

  private async playOne(userId: string, random: Random): Promise<void> {
    const chance = (likelihood: number): boolean => random.next() < likelihood;
    const anyInstance = (): InstanceName => random.pick(API_INSTANCES) ?? 'api1';
    while (!this.isOver) {
      const own = await this.lookAtOwn(userId, anyInstance());
      const asks: SeatAsk[] = [];
      for (const { booking_id: bookingId, status } of own) {
        const draw = random.next();
        if (status === 'ConfirmationPending') {
          if (draw < CHANCE.takesOffer) asks.push({ kind: 'confirm', bookingId });
          else if (draw < CHANCE.takesOffer + CHANCE.declinesOffer) asks.push({ kind: 'cancel', bookingId });
        } else if (draw < (status === 'CONFIRMED' ? CHANCE.givesUpSeat : CHANCE.leavesLine)) {
          asks.push({ kind: 'cancel', bookingId });
        }
      }
      const conference = random.pick(this.conferences)?.name ?? '';
      if (chance(CHANCE.books)) asks.push({ kind: 'book', conference });
      const another = random.pick(this.seen);
      if (another !== undefined && chance(CHANCE.triesForSomebodyElse))
        asks.push({ kind: 'confirm', bookingId: another });
      for (const ask of asks) {
        const [first, second] = random.shuffled(API_INSTANCES);
        const namesOwner = chance(CHANCE.namesOwner);
        const instances = [first ?? 'api1', ...(chance(CHANCE.asksTwiceAtOnce) ? [second ?? 'api2'] : [])];
        const entries = await Promise.all(instances.map((instance) => this.ask(ask, userId, instance, namesOwner)));
        const isSilent = entries.some(({ told }) => told === 'unknown');
        if (isSilent && chance(CHANCE.asksAgainAfterSilence)) await this.ask(ask, userId, anyInstance(), namesOwner);
      }
      await pause(random.integer(...REST_MS));
    }
  }

  /** A user's bookings that are not canceled; none where nobody tells. */
  private async lookAtOwn(userId: string, instance: InstanceName): Promise<Booking[]> {
    let bookings: Booking[] = [];
    await this.record({ kind: 'look' }, userId, instance, async (api) => {
      const reply = await api.userBookings(userId);
      if (reply.ok) bookings = reply.body.filter(({ status }) => status !== 'CANCELED');
      return reply.answer;
    });
    for (const { booking_id: bookingId } of bookings) this.seen.push(bookingId);
    if (this.seen.length > SEEN_KEPT) this.seen.splice(0, this.seen.length - SEEN_KEPT);
    return bookings;
  }

  private ask(ask: SeatAsk, userId: string, instance: InstanceName, namesOwner: boolean): Promise<Entry> {
    return this.record(ask, userId, instance, async (api) => {
      if (ask.kind === 'book') return (await api.book(userId, ask.conference)).answer;
      if (ask.kind === 'confirm') return (await api.confirm(ask.bookingId, userId)).answer;
      return (await api.cancel(ask.bookingId, namesOwner ? userId : undefined)).answer;
    });
  }

  private async record(
    ask: Ask,
    userId: string,
    instance: InstanceName,
    send: (api: ApiClient) => Promise<Answer>,
  ): Promise<Entry> {
    const api = this.apis.get(instance);
    if (api === undefined) throw new Error(`There is no API on ${instance}`);
    const sentAt = Date.now();
    const told = await send(api).then(toTold, (error: unknown) => {
      if (error instanceof ServiceUnreachable) return 'unknown' as const;
      throw error;
    });
    // The place for a key: once the service knows them, a request that is sent again carries the first one's.
    const entry: Entry = { ask, userId, instance, idempotencyKey: null, sentAt, endedAt: Date.now(), told };
    this.journal.add(entry);
    return entry;
  }
}

function toTold({ status, headers, body }: Answer): Told {
  const members = (typeof body === 'object' && body !== null ? body : {}) as Partial<BookResult & { code: string }>;
  return {
    status,
    code: members.code ?? null,
    message: members.message ?? '',
    hasRetryAfter: headers['retry-after'] !== undefined,
    bookingId: members.booking_id ?? null,
    bookingStatus: members.status ?? null,
  };
}

function expectDone<T>({ ok, answer }: Reply<T>): void {
  if (!ok)
    throw new Error(`The stage cannot be set: ${answer.request} → ${answer.status} ${JSON.stringify(answer.body)}`);
}

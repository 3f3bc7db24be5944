import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Hall } from './hall.js';
import type { Command, ConferenceSeats, Policy, Outcome, Seat, Transition } from './model.js';
import { decide } from './rules.js';

/** Where the rules are tried with one fault after the other, fewer and always the same: see stryker.config.mjs. */
const RUNS: { numRuns: number; seed?: number; endOnFailure?: boolean } =
  process.env.RULES_SEQUENCES === undefined
    ? { numRuns: 5_000 }
    : { numRuns: Number(process.env.RULES_SEQUENCES), seed: 1, endOnFailure: true };
const MINUTE = 60_000;
const USERS = ['ada', 'bob', 'carl', 'dora', 'emil', 'fritz'];

/** Two conferences that overlap, and one back to back with both. */
const TIMES: Record<string, [startsAt: number, endsAt: number]> = {
  Alpha: [7 * MINUTE, 12 * MINUTE],
  Beta: [9 * MINUTE, 11 * MINUTE],
  Gamma: [12 * MINUTE, 15 * MINUTE],
};
const CLASHES: Record<string, string> = { Alpha: 'Beta', Beta: 'Alpha' };
const NAMES = Object.keys(TIMES);
const idOf = (name: string): number => NAMES.indexOf(name) + 1;

/** A database in memory: hands the rules just what a transaction would load, and takes back what they changed. */
class Store {
  now = 0;
  readonly conferences: ConferenceSeats[];
  readonly seats = new Map<number, Seat>();
  readonly transitions: Transition[] = [];
  lastId = 0;

  constructor(
    slots: number[],
    public policy: Policy,
    private readonly chunk: number,
  ) {
    this.conferences = NAMES.map((name, index) => ({
      conferenceId: idOf(name),
      name,
      startsAt: TIMES[name]?.[0] ?? 0,
      endsAt: TIMES[name]?.[1] ?? 0,
      totalSlots: slots[index] ?? 1,
      availableSlots: slots[index] ?? 1,
      heldSlots: 0,
      waitlisted: 0,
      lastTicket: 0,
      waitlistClosedAt: null,
    }));
  }

  carryOut(commands: Command[]): Outcome[] {
    const hall = this.load(commands);
    const outcomes = commands.map((command) => decide(hall, command));
    for (const seat of [...hall.created, ...hall.changed]) this.seats.set(seat.bookingId, structuredClone(seat));
    for (const conference of hall.touched) {
      this.conferences[conference.conferenceId - 1] = structuredClone(conference);
    }
    this.transitions.push(...hall.transitions);
    return outcomes;
  }

  private load(commands: Command[]): Hall {
    const all = [...this.seats.values()].map((seat) => structuredClone(seat));
    const conferences = this.conferences.map((conference) => structuredClone(conference));
    const books = commands.filter((command) => command.kind === 'book');
    const named = new Set(commands.flatMap((command) => ('bookingId' in command ? [command.bookingId] : [])));
    const looked = new Set(commands.flatMap((command) => ('conferenceId' in command ? [command.conferenceId] : [])));
    const expired = new Set(commands.flatMap((command) => (command.kind === 'expire' ? [command.conferenceId] : [])));
    const seats = all.filter((seat) => named.has(seat.bookingId));
    seats.push(
      ...all.filter(
        (seat) =>
          seat.status !== 'CANCELED' &&
          books.some(
            ({ userId, conferenceName }) =>
              seat.userId === userId &&
              seat.startsAt < (TIMES[conferenceName]?.[1] ?? 0) &&
              seat.endsAt > (TIMES[conferenceName]?.[0] ?? 0),
          ),
      ),
    );
    if (this.policy.maxActive > 0) {
      const users = new Set(books.map(({ userId }) => userId));
      seats.push(
        ...all.filter((seat) => users.has(seat.userId) && seat.status !== 'CANCELED' && seat.endsAt > this.now),
      );
    }
    const cutShort = new Set<number>();
    const lines = new Map<number, Seat[]>();
    for (const conference of conferences) {
      const here = all.filter((seat) => seat.conferenceId === conference.conferenceId);
      const waiting = here.filter((seat) => seat.status === 'WAITLISTED').sort(byTicket);
      const pending = here.filter((seat) => seat.status === 'ConfirmationPending').sort(byDeadline);
      if (this.now >= conference.startsAt) {
        if (looked.has(conference.conferenceId)) {
          seats.push(...pending.slice(0, this.chunk), ...waiting.slice(0, this.chunk));
        }
        continue;
      }
      let mayFree = commands.filter(
        (command) =>
          command.kind === 'cancel' && this.seats.get(command.bookingId)?.conferenceId === conference.conferenceId,
      ).length;
      if (expired.has(conference.conferenceId)) {
        const due = pending.filter((seat) => (seat.confirmationDeadline ?? 0) <= this.now).slice(0, this.chunk);
        // In no order: to find the right one is up to the rules.
        seats.push(...due.toReversed());
        mayFree += due.length;
        if (due.length === this.chunk) cutShort.add(conference.conferenceId);
      }
      if (mayFree > 0) lines.set(conference.conferenceId, waiting.slice(0, mayFree));
    }
    return new Hall({
      now: this.now,
      policy: this.policy,
      conferences,
      userIds: USERS,
      seats,
      lines,
      cutShort,
      bookingIds: books.map(() => ++this.lastId),
    });
  }
}

const byTicket = (a: Seat, b: Seat): number => (a.queueTicket ?? 0) - (b.queueTicket ?? 0);
const byDeadline = (a: Seat, b: Seat): number =>
  (a.confirmationDeadline ?? 0) - (b.confirmationDeadline ?? 0) || byTicket(a, b);

/**
 * The rules once more, written for nothing but to be read: no counters, no tickets, no partial loading, one command
 * after the other. A line is a list.
 */
class Model {
  now = 0;
  /** Made in the batch that is being carried out: nobody has been told their numbers yet. */
  readonly unborn = new Set<number>();
  readonly bookings = new Map<
    number,
    { user: string; name: string; status: string; deadline: number; missed: number; place: number }
  >();
  readonly lines: Record<string, number[]> = { Alpha: [], Beta: [], Gamma: [] };
  private places = 0;

  constructor(
    private readonly slots: Record<string, number>,
    public policy: Policy,
  ) {}

  /** The code of the refusal, or the status that came of it. */
  apply(command: Command, newId: number): string {
    switch (command.kind) {
      case 'book': {
        const { userId: user, conferenceName: name } = command;
        if (!USERS.includes(user)) return 'USER_NOT_FOUND';
        const times = TIMES[name];
        if (times === undefined) return 'CONFERENCE_NOT_FOUND';
        if (this.now >= times[0]) return 'CONFERENCE_STARTED';
        const mine = [...this.bookings.values()].filter((b) => b.user === user && b.status !== 'CANCELED');
        if (mine.some((b) => b.name === name)) return 'ALREADY_BOOKED';
        if (mine.some((b) => CLASHES[name] === b.name)) return 'OVERLAPPING_BOOKING';
        const open = mine.filter((b) => this.now < (TIMES[b.name]?.[1] ?? 0));
        if (this.policy.maxActive > 0 && open.length >= this.policy.maxActive) return 'TOO_MANY_BOOKINGS';
        const status = this.taken(name) < (this.slots[name] ?? 0) ? 'CONFIRMED' : 'WAITLISTED';
        this.bookings.set(newId, { user, name, status, deadline: 0, missed: 0, place: 0 });
        this.unborn.add(newId);
        if (status === 'WAITLISTED') this.lines[name]?.push(newId);
        return status === 'WAITLISTED' ? `WAITLISTED ${this.lines[name]?.length ?? 0}` : status;
      }
      case 'confirm': {
        const booking = this.find(command.bookingId);
        if (booking === undefined) return 'BOOKING_NOT_FOUND';
        if (booking.user !== command.userId) return 'ACCESS_DENIED';
        if (booking.status !== 'ConfirmationPending') return 'NOT_CONFIRMATION_PENDING';
        if (this.now >= (TIMES[booking.name]?.[0] ?? 0)) return 'CONFERENCE_STARTED';
        if (this.now >= booking.deadline) return 'DEADLINE_PASSED';
        booking.status = 'CONFIRMED';
        return 'confirmed';
      }
      case 'cancel': {
        const booking = this.find(command.bookingId);
        if (booking === undefined) return 'BOOKING_NOT_FOUND';
        if (command.userId !== null && booking.user !== command.userId) return 'ACCESS_DENIED';
        if (booking.status === 'CANCELED') return 'ALREADY_CANCELED';
        booking.status = 'CANCELED';
        this.lines[booking.name] = (this.lines[booking.name] ?? []).filter((id) => id !== command.bookingId);
        this.offer(booking.name);
        return 'canceled';
      }
      case 'expire':
      case 'start': {
        const name = NAMES[command.conferenceId - 1] ?? '';
        if (this.now >= (TIMES[name]?.[0] ?? 0)) {
          for (const b of this.bookings.values()) {
            if (b.name === name && b.status !== 'CONFIRMED') b.status = 'CANCELED';
          }
          this.lines[name] = [];
        } else if (command.kind === 'expire') {
          const due = [...this.bookings].filter(
            ([, b]) => b.name === name && b.status === 'ConfirmationPending' && b.deadline <= this.now,
          );
          due.sort(([, a], [, b]) => a.deadline - b.deadline || a.place - b.place);
          for (const [id, b] of due) {
            b.missed += 1;
            b.status = b.missed === this.policy.maxMissed ? 'CANCELED' : 'WAITLISTED';
            if (b.status === 'WAITLISTED') this.lines[name]?.push(id);
            this.offer(name);
          }
        }
        return 'looked';
      }
    }
  }

  private find(id: number): ReturnType<typeof this.bookings.get> {
    return this.unborn.has(id) ? undefined : this.bookings.get(id);
  }

  private taken(name: string): number {
    return [...this.bookings.values()].filter(
      (b) => b.name === name && (b.status === 'CONFIRMED' || b.status === 'ConfirmationPending'),
    ).length;
  }

  private offer(name: string): void {
    const startsAt = TIMES[name]?.[0] ?? 0;
    if (this.now >= startsAt) return;
    while (this.taken(name) < (this.slots[name] ?? 0)) {
      const booking = this.bookings.get(this.lines[name]?.shift() ?? -1);
      if (booking === undefined) return;
      booking.status = 'ConfirmationPending';
      booking.deadline = Math.min(this.now + this.policy.windowMs, startsAt);
      booking.place = ++this.places;
    }
  }
}

function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'refused':
      return outcome.refusal.code;
    case 'booked':
      return outcome.status === 'WAITLISTED' ? `WAITLISTED ${outcome.waitlistPosition ?? 'nowhere'}` : outcome.status;
    case 'confirmed':
    case 'canceled':
    case 'looked':
      return outcome.kind;
  }
}

function expectSame(store: Store, model: Model): void {
  const seats = [...store.seats.values()];
  const shown = (s: Seat): string => `${s.userId} ${s.status} ${s.confirmationDeadline ?? ''}`;
  const wanted = [...model.bookings].map(
    ([id, b]) => [id, `${b.user} ${b.status} ${b.status === 'ConfirmationPending' ? b.deadline : ''}`] as const,
  );
  assert.deepEqual(new Map(seats.map((seat) => [seat.bookingId, shown(seat)])), new Map(wanted));
  for (const conference of store.conferences) {
    const here = seats.filter((seat) => seat.conferenceId === conference.conferenceId);
    const count = (status: string): number => here.filter((seat) => seat.status === status).length;
    const line = here.filter((seat) => seat.status === 'WAITLISTED').sort(byTicket);
    assert.deepEqual(
      line.map((seat) => seat.bookingId),
      model.lines[conference.name],
    );
    assert.equal(conference.waitlisted, count('WAITLISTED'));
    assert.equal(conference.heldSlots, count('ConfirmationPending'));
    assert.equal(conference.availableSlots, conference.totalSlots - count('CONFIRMED') - count('ConfirmationPending'));
    assert.ok(conference.availableSlots >= 0);
    if (store.now < conference.startsAt && conference.waitlisted > 0) assert.equal(conference.availableSlots, 0);
  }
  // The transitions of each booking are a chain that ends in its status.
  const last = new Map<number, string>();
  for (const { bookingId, fromStatus, toStatus } of store.transitions) {
    assert.equal(fromStatus, last.get(bookingId) ?? null);
    last.set(bookingId, toStatus);
  }
  for (const seat of seats) assert.equal(last.get(seat.bookingId), seat.status);
}

const userId = fc.constantFrom(...USERS);
/** Which of the bookings that are there, or none: see {@link aimed}. */
const bookingId = fc.nat({ max: 99 });
const conferenceId = fc.constantFrom(1, 1, 1, 2, 3);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('book' as const),
      userId: fc.oneof({ weight: 20, arbitrary: userId }, { weight: 1, arbitrary: fc.constant('nobody') }),
      conferenceName: fc.oneof(
        { weight: 20, arbitrary: fc.constantFrom('Alpha', 'Alpha', 'Alpha', ...NAMES) },
        { weight: 1, arbitrary: fc.constant('Nowhere') },
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('confirm' as const), bookingId, userId }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('cancel' as const),
      bookingId,
      userId: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: userId }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('expire' as const), conferenceId }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const), conferenceId }) },
);
const batch = fc.record({
  pass: fc.constantFrom(0, 0, 0, MINUTE / 2, MINUTE, 2 * MINUTE),
  // Instances may differ in it while a new setting is rolled out.
  windowMs: fc.constantFrom(MINUTE / 2, MINUTE, 3 * MINUTE),
  commands: fc.array(command, { minLength: 1, maxLength: 8, size: 'max' }),
});

/** Points a command at a booking that is there, most often, and a confirmation at its owner, most often. */
function aimed(command: Command, seats: Map<number, Seat>, guess: number): Command {
  if (!('bookingId' in command)) return command;
  // The last is of nobody, or of whoever is booked next: a guess.
  const active = [...seats.values()].filter(({ status }) => status !== 'CANCELED').map((seat) => seat.bookingId);
  const ids = [...active, ...active, ...seats.keys(), guess];
  const seat = seats.get(ids[command.bookingId % ids.length] ?? 0);
  const bookingId = seat?.bookingId ?? guess;
  const isByOwner = command.kind === 'confirm' && command.bookingId % 4 > 0 && seat !== undefined;
  return { ...command, bookingId, ...(isByOwner ? { userId: seat.userId } : {}) };
}

describe('the rules', () => {
  it(`keep to the plain model in ${RUNS.numRuns} random command sequences`, () => {
    const sequences = fc.record({
      batches: fc.array(batch, { minLength: 4, maxLength: 12, size: 'max' }),
      slots: fc.tuple(...NAMES.map(() => fc.constantFrom(1, 1, 2))),
      maxMissed: fc.constantFrom(0, 0, 1, 2),
      maxActive: fc.constantFrom(0, 0, 1, 2),
    });
    let offers = 0;
    fc.assert(
      fc.property(sequences, ({ batches, slots, maxMissed, maxActive }) => {
        const policy = { windowMs: MINUTE, maxMissed, maxActive };
        const store = new Store(slots, policy, 1_000);
        const model = new Model(Object.fromEntries(NAMES.map((name, index) => [name, slots[index] ?? 1])), policy);
        for (const { pass, windowMs, commands: drawn } of batches) {
          const commands = drawn.map((each) => aimed(each, store.seats, store.lastId + 1));
          store.now += pass;
          model.now = store.now;
          store.policy = model.policy = { windowMs, maxMissed, maxActive };
          model.unborn.clear();
          store.carryOut(commands).forEach((outcome, index) => {
            const asked = commands[index];
            if (asked === undefined) throw new Error('An outcome without a command');
            const wanted = model.apply(asked, outcome.kind === 'booked' ? outcome.bookingId : -1);
            assert.equal(describeOutcome(outcome), wanted);
          });
          expectSame(store, model);
        }
        offers += store.transitions.filter(({ reason }) => reason === 'offered').length;
      }),
      RUNS,
    );
    // Sequences that never come to an offer would prove little.
    expect(offers).toBeGreaterThan(RUNS.numRuns / 2);
  });

  it('deal with what is due in chunks, and say when more is left', () => {
    const store = new Store([1, 1, 1], { windowMs: MINUTE, maxMissed: 0, maxActive: 0 }, 2);
    store.carryOut(USERS.map((user) => ({ kind: 'book', userId: user, conferenceName: 'Alpha' })));
    store.now = 7 * MINUTE;
    const start: Command = { kind: 'start', conferenceId: 1 };
    expect([1, 2, 3].map(() => store.carryOut([start])[0])).toEqual([
      { kind: 'looked', now: store.now, more: true },
      { kind: 'looked', now: store.now, more: true },
      { kind: 'looked', now: store.now, more: false },
    ]);
    expect(store.conferences[0]?.waitlistClosedAt).toBe(store.now);
    expect([...store.seats.values()].map(({ status }) => status)).toEqual([
      'CONFIRMED',
      ...USERS.slice(1).map(() => 'CANCELED'),
    ]);
  });

  it('let a user have so many active bookings, and another one when a conference has ended', () => {
    const store = new Store([5, 5, 5], { windowMs: MINUTE, maxMissed: 0, maxActive: 1 }, 1_000);
    const book = (...names: string[]): string[] =>
      store
        .carryOut(names.map((name) => ({ kind: 'book', userId: 'ada', conferenceName: name })))
        .map((outcome) => describeOutcome(outcome));
    // Two at once are two; what is named first is what the limit would only hide.
    expect(book('Beta', 'Gamma')).toEqual(['CONFIRMED', 'TOO_MANY_BOOKINGS']);
    expect(book('Beta', 'Alpha', 'Gamma')).toEqual(['ALREADY_BOOKED', 'OVERLAPPING_BOOKING', 'TOO_MANY_BOOKINGS']);
    store.now = 11 * MINUTE - 1;
    expect(book('Gamma')).toEqual(['TOO_MANY_BOOKINGS']);
    store.now = 11 * MINUTE;
    expect(book('Gamma')).toEqual(['CONFIRMED']);
  });

  it('count no booking that was canceled in the same batch', () => {
    const store = new Store([5, 5, 5], { windowMs: MINUTE, maxMissed: 0, maxActive: 1 }, 1_000);
    store.carryOut([{ kind: 'book', userId: 'ada', conferenceName: 'Alpha' }]);
    const outcomes = store.carryOut([
      { kind: 'cancel', bookingId: 1, userId: 'ada' },
      { kind: 'book', userId: 'ada', conferenceName: 'Gamma' },
    ]);
    expect(outcomes.map((outcome) => describeOutcome(outcome))).toEqual(['canceled', 'CONFIRMED']);
  });

  it('never reach past the front of the line that was loaded', () => {
    const waiting = (id: number): Seat => ({
      bookingId: id,
      conferenceId: 1,
      userId: `user${id}`,
      startsAt: 4 * MINUTE,
      endsAt: 12 * MINUTE,
      createdAt: 0,
      status: 'WAITLISTED',
      queueTicket: id,
      confirmationDeadline: null,
      missedOffers: 0,
      canceledAt: null,
    });
    const conference: ConferenceSeats = {
      conferenceId: 1,
      name: 'Alpha',
      startsAt: 4 * MINUTE,
      endsAt: 12 * MINUTE,
      totalSlots: 5,
      availableSlots: 2,
      heldSlots: 0,
      waitlisted: 3,
      lastTicket: 3,
      waitlistClosedAt: null,
    };
    const hall = new Hall({
      now: 0,
      policy: { windowMs: MINUTE, maxMissed: 0, maxActive: 0 },
      conferences: [conference],
      userIds: ['ada'],
      seats: [{ ...waiting(9), status: 'CONFIRMED', queueTicket: null }],
      lines: new Map([[1, [waiting(1)]]]),
      cutShort: new Set(),
      bookingIds: [],
    });
    expect(() => decide(hall, { kind: 'cancel', bookingId: 9, userId: null })).toThrow('longer than what was loaded');
  });
});

describe('an organizer', () => {
  const store = new Store([1, 1, 1], { windowMs: MINUTE, maxMissed: 0, maxActive: 0 }, 10);
  const told = (...commands: Command[]): unknown[] => {
    const before = store.transitions.length;
    store.carryOut(commands);
    return store.transitions
      .slice(before)
      .map(({ bookingId, reason, organizerId }) => [bookingId, reason, organizerId ?? 'nobody else']);
  };

  it('is written down with what they do in the place of others, and with nothing else', () => {
    const book = (userId: string, organizerId?: string): Command => ({
      kind: 'book',
      userId,
      conferenceName: 'Alpha',
      ...(organizerId === undefined ? {} : { organizerId }),
    });
    expect(told(book('ada', 'fritz'), book('fritz', 'fritz'), book('bob', 'fritz'))).toEqual([
      [1, 'booked', 'fritz'],
      [2, 'joined_waitlist', 'nobody else'],
      [3, 'joined_waitlist', 'fritz'],
    ]);
    // Whom a slot is offered to, the rules say.
    expect(told({ kind: 'cancel', bookingId: 1, userId: null, organizerId: 'fritz' })).toEqual([
      [1, 'canceled', 'fritz'],
      [2, 'offered', 'nobody else'],
    ]);
    expect(told({ kind: 'cancel', bookingId: 2, userId: null, organizerId: 'fritz' })).toEqual([
      [2, 'declined', 'nobody else'],
      [3, 'offered', 'nobody else'],
    ]);
    expect(told({ kind: 'cancel', bookingId: 3, userId: 'bob', organizerId: 'fritz' })).toEqual([
      [3, 'declined', 'fritz'],
    ]);
  });
});

describe('a booking in the archive', () => {
  const hall = new Hall({
    now: 0,
    policy: { windowMs: MINUTE, maxMissed: 0, maxActive: 0 },
    conferences: [],
    userIds: [],
    seats: [],
    archived: [
      { bookingId: 1, userId: 'ada', status: 'CONFIRMED' },
      { bookingId: 2, userId: 'bob', status: 'CANCELED' },
    ],
    lines: new Map(),
    cutShort: new Set(),
    bookingIds: [],
  });
  const cancel = (bookingId: number, userId: string | null): Command => ({ kind: 'cancel', bookingId, userId });
  const confirm = (bookingId: number, userId: string): Command => ({ kind: 'confirm', bookingId, userId });

  it.each([
    [cancel(1, null), 'CONFERENCE_OVER'],
    [cancel(1, 'ada'), 'CONFERENCE_OVER'],
    [cancel(1, 'bob'), 'ACCESS_DENIED'],
    [cancel(2, null), 'ALREADY_CANCELED'],
    [cancel(2, 'ada'), 'ACCESS_DENIED'],
    [cancel(3, null), 'BOOKING_NOT_FOUND'],
    [confirm(1, 'ada'), 'NOT_CONFIRMATION_PENDING'],
    [confirm(1, 'bob'), 'ACCESS_DENIED'],
    [confirm(2, 'bob'), 'NOT_CONFIRMATION_PENDING'],
    [confirm(3, 'ada'), 'BOOKING_NOT_FOUND'],
  ])('stays as it is: %j is refused with %s', (command, code) => {
    expect(decide(hall, command)).toMatchObject({ kind: 'refused', refusal: { code } });
  });
});

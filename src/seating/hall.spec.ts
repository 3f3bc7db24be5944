import { Hall, type HallContents } from './hall.js';
import { type Command, type ConferenceSeats, isTimer, type Outcome, type Seat } from './model.js';
import { decide } from './rules.js';

const MINUTE = 60_000;
const NOW = 10 * MINUTE;

const conference = (is: Partial<ConferenceSeats> = {}): ConferenceSeats => ({
  conferenceId: 1,
  name: 'Alpha',
  startsAt: NOW + 60 * MINUTE,
  endsAt: NOW + 90 * MINUTE,
  totalSlots: 1,
  availableSlots: 0,
  heldSlots: 0,
  waitlisted: 0,
  lastTicket: 0,
  waitlistClosedAt: null,
  ...is,
});

const seat = (bookingId: number, is: Partial<Seat> = {}): Seat => ({
  bookingId,
  conferenceId: 1,
  userId: `user${bookingId}`,
  startsAt: NOW + 60 * MINUTE,
  endsAt: NOW + 90 * MINUTE,
  createdAt: 0,
  status: 'CONFIRMED',
  queueTicket: null,
  confirmationDeadline: null,
  missedOffers: 0,
  canceledAt: null,
  ...is,
});
const waiting = (bookingId: number): Seat => seat(bookingId, { status: 'WAITLISTED', queueTicket: bookingId });
const offered = (bookingId: number, confirmationDeadline: number): Seat =>
  seat(bookingId, { status: 'ConfirmationPending', queueTicket: bookingId, confirmationDeadline });

const hall = (contents: Partial<HallContents>): Hall =>
  new Hall({
    now: NOW,
    policy: { windowMs: MINUTE, maxMissed: 0, maxActive: 0 },
    conferences: [conference()],
    userIds: ['ada', 'bob'],
    seats: [],
    lines: new Map([[1, []]]),
    cutShort: new Set(),
    bookingIds: [],
    ...contents,
  });

const book = (userId: string): Command => ({ kind: 'book', userId, conferenceName: 'Alpha' });
const cancel = (bookingId: number): Command => ({ kind: 'cancel', bookingId, userId: null });
const expire: Command = { kind: 'expire', conferenceId: 1 };
const start: Command = { kind: 'start', conferenceId: 1 };
const looked = (more: boolean): Outcome => ({ kind: 'looked', now: NOW, more });

/** What is written down of what these commands did: booking, from, to, why, and whose slot it was. */
function stepsOf(own: Hall, ...commands: Command[]): unknown[][] {
  for (const command of commands) decide(own, command);
  return own.transitions.map(({ bookingId, fromStatus, toStatus, reason, causeBookingId }) => [
    bookingId,
    fromStatus,
    toStatus,
    reason,
    causeBookingId,
  ]);
}

describe('what is written down', () => {
  it('of a booking that takes a slot, and of one that waits', () => {
    const own = hall({ conferences: [conference({ availableSlots: 1 })], bookingIds: [5, 6] });
    expect(decide(own, book('ada'))).toEqual({
      kind: 'booked',
      bookingId: 5,
      status: 'CONFIRMED',
      waitlistPosition: null,
    });
    expect(decide(own, book('bob'))).toEqual({
      kind: 'booked',
      bookingId: 6,
      status: 'WAITLISTED',
      waitlistPosition: 1,
    });
    expect(stepsOf(own)).toEqual([
      [5, null, 'CONFIRMED', 'booked', null],
      [6, null, 'WAITLISTED', 'joined_waitlist', null],
    ]);
  });

  it('of a slot that is given back, and of the offer that it makes', () => {
    const [gone, next] = [seat(1), waiting(2)];
    const own = hall({
      conferences: [conference({ waitlisted: 1, lastTicket: 2 })],
      seats: [gone],
      lines: new Map([[1, [next]]]),
    });
    expect(stepsOf(own, cancel(1))).toEqual([
      [1, 'CONFIRMED', 'CANCELED', 'canceled', null],
      [2, 'WAITLISTED', 'ConfirmationPending', 'offered', 1],
    ]);
    expect(gone).toMatchObject({ queueTicket: null, confirmationDeadline: null, canceledAt: NOW });
    expect(next).toMatchObject({ queueTicket: 2, confirmationDeadline: NOW + MINUTE, canceledAt: null });
  });

  it('of an offer that is taken, declined, or left', () => {
    const conferences = (): ConferenceSeats[] => [conference({ heldSlots: 1, lastTicket: 1 })];
    const taken = hall({ conferences: conferences(), seats: [offered(1, NOW + 1)] });
    expect(stepsOf(taken, { kind: 'confirm', bookingId: 1, userId: 'user1' })).toEqual([
      [1, 'ConfirmationPending', 'CONFIRMED', 'confirmed', null],
    ]);
    const declined = hall({ conferences: conferences(), seats: [offered(1, NOW + 1)] });
    expect(stepsOf(declined, cancel(1))).toEqual([[1, 'ConfirmationPending', 'CANCELED', 'declined', null]]);
    const left = hall({ now: NOW + 60 * MINUTE, conferences: conferences(), seats: [offered(1, NOW + 1)] });
    expect(stepsOf(left, start)).toEqual([[1, 'ConfirmationPending', 'CANCELED', 'conference_started', null]]);
  });

  it('of offers that are missed: in the order of deadlines, and of places in the line where these are equal', () => {
    const seats = [offered(2, NOW), offered(3, NOW - 5), offered(1, NOW), offered(4, NOW + 1)];
    const conferences = [conference({ totalSlots: 4, heldSlots: 4, lastTicket: 4 })];
    const missed = stepsOf(hall({ conferences, seats }), expire).filter((step) => step[3] === 'missed');
    expect(missed).toEqual([3, 1, 2].map((id) => [id, 'ConfirmationPending', 'WAITLISTED', 'missed', null]));
  });

  it('of an offer that was missed too often', () => {
    const own = hall({
      policy: { windowMs: MINUTE, maxMissed: 2, maxActive: 0 },
      conferences: [conference({ heldSlots: 1, lastTicket: 1 })],
      seats: [{ ...offered(1, NOW), missedOffers: 1 }],
    });
    expect(stepsOf(own, expire)).toEqual([[1, 'ConfirmationPending', 'CANCELED', 'missed_too_often', null]]);
  });
});

describe('how late it was', () => {
  it('is told of each offer that was missed, and of none that was taken or declined', () => {
    const seats = [offered(1, NOW - 5), offered(2, NOW), offered(3, NOW + 1), offered(4, NOW + 1)];
    const own = hall({ conferences: [conference({ totalSlots: 4, heldSlots: 4, lastTicket: 4 })], seats });
    stepsOf(own, { kind: 'confirm', bookingId: 3, userId: 'user3' }, cancel(4), expire);
    expect(own.lateness).toEqual({ offers: [5, 0], starts: [] });
    const last = hall({
      policy: { windowMs: MINUTE, maxMissed: 1, maxActive: 0 },
      conferences: [conference({ heldSlots: 1, lastTicket: 1 })],
      seats: [offered(1, NOW - 7)],
    });
    stepsOf(last, expire);
    expect(last.lateness).toEqual({ offers: [7], starts: [] });
  });

  it('is told of a start once, when its line is closed', () => {
    const begun = conference({ startsAt: NOW - 3, waitlisted: 2, lastTicket: 2 });
    const first = hall({ conferences: [begun], seats: [waiting(1)], lines: new Map() });
    stepsOf(first, start);
    expect(first.lateness).toEqual({ offers: [], starts: [] });
    const second = hall({ conferences: [begun], seats: [waiting(2)], lines: new Map() });
    stepsOf(second, start, start);
    expect(second.lateness).toEqual({ offers: [], starts: [3] });
  });
});

describe('a look', () => {
  it('at a conference that is no more, or where nothing is due, does nothing', () => {
    const gone = hall({ conferences: [], lines: new Map() });
    expect([decide(gone, expire), decide(gone, start)]).toEqual([looked(false), looked(false)]);
    const early = hall({});
    expect([decide(early, expire), decide(early, start)]).toEqual([looked(false), looked(false)]);
    expect([...early.touched]).toEqual([]);
  });

  it('says when more is overdue than was loaded', () => {
    expect(decide(hall({ cutShort: new Set([1]) }), expire)).toEqual(looked(true));
  });

  it('at the start closes the line once it is empty, and only once', () => {
    const begun = conference({ startsAt: NOW, heldSlots: 1, waitlisted: 2, lastTicket: 3 });
    const all = [waiting(1), waiting(2), offered(3, NOW)];
    expect(decide(hall({ conferences: [begun], seats: all.slice(0, 1), lines: new Map() }), start)).toEqual(
      looked(true),
    );
    expect(begun.waitlistClosedAt).toBeNull();
    expect(decide(hall({ conferences: [begun], seats: all.slice(1), lines: new Map() }), start)).toEqual(looked(false));
    expect(begun.waitlistClosedAt).toBe(NOW);
    const later = hall({ now: NOW + 1, conferences: [begun], lines: new Map() });
    decide(later, start);
    expect([begun.waitlistClosedAt, later.touched.size]).toEqual([NOW, 0]);
  });

  it('at the start ends where a counter says that somebody waits and nobody does', () => {
    const begun = conference({ startsAt: NOW, waitlisted: 1 });
    expect(decide(hall({ conferences: [begun] }), start)).toEqual(looked(false));
  });

  it('at a line that was closed by a clock which was ahead finds the conference started', () => {
    const own = hall({ conferences: [conference({ availableSlots: 1, waitlistClosedAt: NOW + 5 })] });
    expect(decide(own, book('ada'))).toMatchObject({ refusal: { kind: 'invalid', code: 'CONFERENCE_STARTED' } });
  });
});

describe('a hall', () => {
  it('knows who has no bookings, and who does not exist', () => {
    expect([hall({}).findActiveSeats('ada'), hall({}).findActiveSeats('carl')]).toEqual([[], null]);
  });

  it('takes a booking that was loaded twice for one', () => {
    const own = hall({
      conferences: [conference({ waitlisted: 2, lastTicket: 3 })],
      seats: [seat(1), waiting(2)],
      lines: new Map([[1, [waiting(2), waiting(3)]]]),
    });
    decide(own, cancel(2));
    decide(own, cancel(1));
    expect(own.transitions.at(-1)).toMatchObject({ bookingId: 3, reason: 'offered' });
  });

  it('offers a slot to who joined in this batch, which is still a new booking and no changed one', () => {
    const own = hall({ seats: [seat(1)], bookingIds: [7] });
    decide(own, book('ada'));
    decide(own, cancel(1));
    expect([...own.created]).toMatchObject([{ bookingId: 7, status: 'ConfirmationPending' }]);
    expect([...own.changed]).toMatchObject([{ bookingId: 1 }]);
  });

  it('never offers past those of the line who were not loaded', () => {
    const own = hall({
      conferences: [conference({ totalSlots: 2, waitlisted: 3, lastTicket: 3 })],
      seats: [seat(8), seat(9)],
      lines: new Map([[1, [waiting(1)]]]),
      bookingIds: [10],
    });
    decide(own, book('ada'));
    decide(own, cancel(8));
    expect(() => decide(own, cancel(9))).toThrow('The line is longer than what was loaded of it');
  });

  it.each<[string, Partial<HallContents>, (own: Hall) => unknown]>([
    ['Conference 1 was not loaded', { conferences: [], lines: new Map() }, (own) => own.conference(1)],
    [
      'The line of conference 1 was not loaded',
      { lines: new Map() },
      (own) => own.headOfLine(conference({ waitlisted: 1 })),
    ],
    ['More bookings were made than commands asked for', {}, (own) => own.begin(conference(), 'ada', 'WAITLISTED')],
    [
      'A canceled booking stays canceled',
      {},
      (own) => own.move(seat(1, { status: 'CANCELED' }), 'WAITLISTED', 'missed'),
    ],
  ])('fails where whoever loaded it made a mistake: %s', (message, contents, act) => {
    expect(() => act(hall(contents))).toThrow(new Error(message));
  });
});

it('a timer is no request', () => {
  expect([expire, start, book('ada'), cancel(1)].map(isTimer)).toEqual([true, true, false, false]);
});

import { type Answer, type ApiClient, type Booking, type Conference, type ConferenceBooking } from '../api-client.js';
import { atMost } from '../at-most.js';
import { aPosition, anInteger, expectAnswer, expectEqual, expectList, fail } from './expect.js';
import { asBooking, asConference, asConferenceBooking } from './shapes.js';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const USERS_AT_ONCE = 32;

/** A conference made for a scenario; instants in milliseconds since the epoch. */
export interface OwnConference {
  name: string;
  slots: number;
  startMs: number;
  endMs: number;
}

export interface ConferenceWishes {
  slots?: number;
  startMs?: number;
  endMs?: number;
  topics?: string[];
}

/** The people and conferences of one run, with names that no other run has, and the questions scenarios ask. */
export class World {
  private readonly runId = `s${Date.now().toString(36)}${Math.floor(Math.random() * 46_656).toString(36)}`;
  private readonly firstDayMs = Math.ceil(Date.now() / DAY_MS) * DAY_MS + 30 * DAY_MS;
  private users = 0;
  private conferences = 0;

  constructor(readonly api: ApiClient) {}

  /** A user_id nobody has yet, of letters and digits. */
  newUserId(): string {
    this.users += 1;
    return `${this.runId}u${this.users}`;
  }

  /** A name no conference has yet, with spaces in it. */
  newName(): string {
    this.conferences += 1;
    return `Scenario ${this.runId} ${this.conferences}`;
  }

  /** A topic of this run alone, other for every `label` of letters and digits. */
  topic(label: string): string {
    return `topic ${this.runId} ${label}`;
  }

  async user(): Promise<string> {
    const userId = this.newUserId();
    const answer = await this.api.send('POST', '/user', { user_id: userId, topics: [this.topic('all')] });
    expectAnswer(answer, 201, { message: 'User added successfully' });
    return userId;
  }

  severalUsers(count: number): Promise<string[]> {
    return atMost(USERS_AT_ONCE, Array.from({ length: count }), () => this.user());
  }

  /** A new conference of 1 slot and 1 hour unless wished otherwise, each on a day of its own. */
  async conference(wishes: ConferenceWishes = {}): Promise<OwnConference> {
    const name = this.newName();
    const startMs = wishes.startMs ?? this.firstDayMs + this.conferences * DAY_MS;
    const own = { name, slots: wishes.slots ?? 1, startMs, endMs: wishes.endMs ?? startMs + HOUR_MS };
    const answer = await this.api.send('POST', '/conference', {
      name,
      location: 'Hall 5',
      start: new Date(own.startMs).toISOString(),
      end: new Date(own.endMs).toISOString(),
      slots: own.slots,
      topics: wishes.topics ?? [this.topic('all')],
    });
    expectAnswer(answer, 201, { message: 'conference added successfully' });
    return own;
  }

  book(userId: string, { name }: { name: string }): Promise<Answer> {
    return this.api.send('POST', '/book', { user_id: userId, name });
  }

  /** Books and expects a slot; answers the booking's id. */
  async bookConfirmed(userId: string, conference: OwnConference): Promise<number> {
    return expectConfirmed(await this.book(userId, conference));
  }

  /** Books and expects this place in the line; answers the booking's id. */
  async bookWaitlisted(userId: string, conference: OwnConference, position: number): Promise<number> {
    return expectWaitlisted(await this.book(userId, conference), position);
  }

  confirm(bookingId: number, userId: string): Promise<Answer> {
    return this.api.send('POST', '/confirm', { booking_id: bookingId, user_id: userId });
  }

  async confirmOffer(bookingId: number, userId: string): Promise<void> {
    expectAnswer(await this.confirm(bookingId, userId), 200, { message: 'Booking confirmed successfully' });
  }

  cancel(bookingId: number, userId?: string): Promise<Answer> {
    return this.api.send('POST', '/cancel', {
      booking_id: bookingId,
      ...(userId === undefined ? {} : { user_id: userId }),
    });
  }

  async cancelActive(bookingId: number, userId?: string): Promise<void> {
    expectAnswer(await this.cancel(bookingId, userId), 200, { message: 'Booking canceled successfully' });
  }

  /** `GET /booking/{id}`, every field checked. */
  async booking(bookingId: number): Promise<Booking> {
    const answer = await this.api.send('GET', `/booking/${bookingId}`);
    const booking = asBooking(answer.request, expectAnswer(answer, 200, { booking_id: bookingId }));
    return booking;
  }

  async expectStatus(bookingId: number, status: Booking['status'], position: number | null = null): Promise<Booking> {
    const booking = await this.booking(bookingId);
    expectEqual(`booking ${bookingId}, status`, booking.status, status);
    expectEqual(`booking ${bookingId}, waitlist_position`, booking.waitlist_position, position);
    return booking;
  }

  /** Expects an offer that can still be confirmed; answers its deadline in milliseconds since the epoch. */
  async expectOpenOffer(bookingId: number): Promise<number> {
    const booking = await this.expectStatus(bookingId, 'ConfirmationPending');
    expectEqual(`booking ${bookingId}, can_confirm`, booking.can_confirm, true);
    return deadlineMs(booking);
  }

  /** `GET /conference/{name}/bookings`, every field checked and the rules that one look can see. */
  async bookings(conference: OwnConference): Promise<ConferenceBooking[]> {
    const answer = await this.api.send('GET', `/conference/${encodeURIComponent(conference.name)}/bookings`);
    const bookings = expectList(answer).map((row, index) => asConferenceBooking(`${answer.request} [${index}]`, row));
    expectRules(conference, bookings);
    return bookings;
  }

  /** `GET /conference/{name}`, every field checked. */
  async conferenceNow({ name }: { name: string }): Promise<Conference> {
    const answer = await this.api.send('GET', `/conference/${encodeURIComponent(name)}`);
    return asConference(answer.request, expectAnswer(answer, 200, { name }));
  }

  async expectCounts(
    conference: OwnConference,
    counts: { available: number; held: number; waitlisted: number },
  ): Promise<void> {
    const now = await this.conferenceNow(conference);
    const seen = { available: now.available_slots, held: now.held_slots, waitlisted: now.waitlisted };
    expectEqual(`"${conference.name}", counts`, seen, counts);
    expectEqual(`"${conference.name}", total_slots`, now.total_slots, conference.slots);
  }
}

/** Expects `201` with a slot; answers the booking's id. Throws ExpectationFailed. */
export function expectConfirmed(answer: Answer): number {
  const body = expectAnswer(answer, 201, {
    booking_id: anInteger,
    status: 'CONFIRMED',
    message: 'Booking confirmed successfully',
    waitlist_position: null,
  });
  return Number(body.booking_id);
}

/** Expects `201` with a place in the line, this one where it is given; answers the booking's id. Throws ExpectationFailed. */
export function expectWaitlisted(answer: Answer, position?: number): number {
  const body = expectAnswer(answer, 201, {
    booking_id: anInteger,
    status: 'WAITLISTED',
    message: 'Added to waitlist',
    waitlist_position: position ?? aPosition,
  });
  return Number(body.booking_id);
}

/** The deadline of an open offer in milliseconds since the epoch. Throws ExpectationFailed where there is none. */
export function deadlineMs(booking: { booking_id: number; confirmation_deadline: string | null }): number {
  if (booking.confirmation_deadline === null) return fail(`booking ${booking.booking_id}`, 'a deadline', null);
  return Date.parse(booking.confirmation_deadline);
}

export function countStatus(bookings: readonly ConferenceBooking[], status: Booking['status']): number {
  return bookings.filter((booking) => booking.status === status).length;
}

/** Never oversold, never idle, and a line from 1 without gaps. */
function expectRules(conference: OwnConference, bookings: readonly ConferenceBooking[]): void {
  const taken = countStatus(bookings, 'CONFIRMED') + countStatus(bookings, 'ConfirmationPending');
  if (taken > conference.slots) {
    fail(`"${conference.name}", confirmed and held`, `at most ${conference.slots}`, taken);
  }
  const positions = bookings.flatMap(({ waitlist_position: position }) => (position === null ? [] : [position]));
  positions.sort((a, b) => a - b);
  const ranks = positions.map((_, index) => index + 1);
  expectEqual(`"${conference.name}", positions in the line`, positions, ranks);
  if (positions.length > 0 && conference.startMs > Date.now()) {
    expectEqual(`"${conference.name}", slots confirmed or held while somebody waits`, taken, conference.slots);
  }
}

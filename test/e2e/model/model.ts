import assert from 'node:assert/strict';
import type { BookingStatus } from '../../../src/cli/api-client.js';

/** An instant that is known to lie within two others, both included; ms since 1970. */
export interface Span {
  from: number;
  to: number;
}

export interface ModelConference {
  name: string;
  slots: number;
  startsAt: number;
  endsAt: number;
  hasStarted: boolean;
  /** Who waits, the head first. */
  line: ModelBooking[];
}

export interface ModelBooking {
  id: number;
  userId: string;
  conference: ModelConference;
  status: BookingStatus;
  createdAt: Span;
  canceledAt: Span | null;
  /** Set while an offer is open. */
  deadline: Span | null;
  isOverdue: boolean;
  missed: number;
  /** Who came to the line before whom, also while an offer is open. */
  place: number;
}

/** What the contract says that the answer is: the code of a refusal, or the whole body of a success but its number. */
export type Expected = { status: 400 | 404; code: string; message?: string } | { status: 200 | 201; body: object };

const BOOKED = { message: 'Booking confirmed successfully' };
const CANCELED = { message: 'Booking canceled successfully' };
const DENIED: Expected = {
  status: 400,
  code: 'ACCESS_DENIED',
  message: 'Access denied: booking belongs to different user',
};

/**
 * The contract once more, as short as it can be said: a line is a list, what is free is counted, and time passes when a
 * test says so. It shares no code with the service.
 */
export class Model {
  readonly users = new Set<string>();
  readonly conferences = new Map<string, ModelConference>();
  /** Oldest first. */
  readonly bookings: ModelBooking[] = [];
  /** How often what happened. */
  readonly counts = { confirmed: 0, offered: 0, missed: 0, missedTooOften: 0, leftAtStart: 0, refused: 0 };
  private places = 0;

  /** @param maxMissed after so many offers missed a booking is canceled; 0: never */
  constructor(
    private readonly windowMs: number,
    private readonly maxMissed: number,
  ) {}

  addUser(userId: string): Expected {
    if (this.users.has(userId)) return this.refuse(400, 'USER_EXISTS', 'User already exists');
    this.users.add(userId);
    return { status: 201, body: { message: 'User added successfully' } };
  }

  addConference(name: string, slots: number, startsAt: number, endsAt: number): Expected {
    if (this.conferences.has(name)) return this.refuse(400, 'CONFERENCE_EXISTS', 'conference already exists');
    this.conferences.set(name, { name, slots, startsAt, endsAt, hasStarted: false, line: [] });
    return { status: 201, body: { message: 'conference added successfully' } };
  }

  /** @param id what the service calls the booking, where it made one */
  book(userId: string, name: string, id: number, at: Span): Expected {
    if (!this.users.has(userId)) return this.refuse(400, 'USER_NOT_FOUND');
    const conference = this.conferences.get(name);
    if (conference === undefined) return this.refuse(400, 'CONFERENCE_NOT_FOUND');
    if (conference.hasStarted) return this.refuse(400, 'CONFERENCE_STARTED');
    const active = this.bookings.filter((booking) => booking.userId === userId && booking.status !== 'CANCELED');
    if (active.some((booking) => booking.conference === conference)) return this.refuse(400, 'ALREADY_BOOKED');
    if (active.some((booking) => overlap(booking.conference, conference)))
      return this.refuse(400, 'OVERLAPPING_BOOKING');
    assert.ok(
      this.bookings.every((booking) => booking.id < id),
      `A new booking has a number that is not new: ${id}`,
    );
    const status = this.free(conference) > 0 ? 'CONFIRMED' : 'WAITLISTED';
    const booking: ModelBooking = {
      id,
      userId,
      conference,
      status,
      createdAt: at,
      canceledAt: null,
      deadline: null,
      isOverdue: false,
      missed: 0,
      place: 0,
    };
    this.bookings.push(booking);
    if (status === 'CONFIRMED') return { status: 201, body: { ...BOOKED, booking_id: id, status, ...position(null) } };
    this.join(booking);
    const last = position(conference.line.length);
    return { status: 201, body: { message: 'Added to waitlist', booking_id: id, status, ...last } };
  }

  confirm(booking: ModelBooking | undefined, userId: string): Expected {
    if (booking === undefined) return this.refuse(404, 'BOOKING_NOT_FOUND');
    if (booking.userId !== userId) return this.deny();
    if (booking.status !== 'ConfirmationPending') return this.refuse(400, 'NOT_CONFIRMATION_PENDING');
    if (booking.conference.hasStarted) return this.refuse(400, 'CONFERENCE_STARTED');
    if (booking.isOverdue) return this.refuse(400, 'DEADLINE_PASSED');
    booking.status = 'CONFIRMED';
    booking.deadline = null;
    this.counts.confirmed += 1;
    return { status: 200, body: BOOKED };
  }

  /** @param userId null: the request names nobody */
  cancel(booking: ModelBooking | undefined, userId: string | null, at: Span): Expected {
    if (booking === undefined) return this.refuse(404, 'BOOKING_NOT_FOUND');
    if (userId !== null && booking.userId !== userId) return this.deny();
    if (booking.status === 'CANCELED') return this.refuse(400, 'ALREADY_CANCELED');
    this.end(booking, at);
    this.offer(booking.conference, at);
    return { status: 200, body: CANCELED };
  }

  /** An offer's deadline has come; nobody has looked yet. */
  passDeadline(booking: ModelBooking, deadline: number): void {
    booking.deadline = { from: deadline, to: deadline };
    booking.isOverdue = true;
  }

  /** A conference has started, and now has these times; nobody has looked yet. */
  passStart(conference: ModelConference, startsAt: number, endsAt: number): void {
    Object.assign(conference, { startsAt, endsAt, hasStarted: true });
    for (const booking of this.of(conference)) {
      if (booking.deadline !== null && booking.deadline.from > startsAt) this.passDeadline(booking, startsAt);
    }
  }

  /** Somebody looks whether anything is due in a conference. */
  look(conference: ModelConference, at: Span): void {
    if (conference.hasStarted) {
      const left = this.of(conference).filter(
        ({ status }) => status === 'WAITLISTED' || status === 'ConfirmationPending',
      );
      for (const booking of left) this.end(booking, at);
      this.counts.leftAtStart += left.length;
      return;
    }
    const overdue = this.of(conference).filter((booking) => booking.isOverdue);
    overdue.sort((a, b) => (a.deadline?.from ?? 0) - (b.deadline?.from ?? 0) || a.place - b.place);
    for (const booking of overdue) {
      booking.missed += 1;
      if (booking.missed === this.maxMissed) {
        this.end(booking, at);
        this.counts.missedTooOften += 1;
      } else {
        this.join(booking);
        this.counts.missed += 1;
      }
      this.offer(conference, at);
    }
  }

  of(conference: ModelConference): ModelBooking[] {
    return this.bookings.filter((booking) => booking.conference === conference);
  }

  free(conference: ModelConference): number {
    return conference.slots - this.count(conference, 'CONFIRMED') - this.count(conference, 'ConfirmationPending');
  }

  count(conference: ModelConference, status: BookingStatus): number {
    return this.of(conference).filter((booking) => booking.status === status).length;
  }

  private join(booking: ModelBooking): void {
    booking.status = 'WAITLISTED';
    booking.deadline = null;
    booking.isOverdue = false;
    booking.place = ++this.places;
    booking.conference.line.push(booking);
  }

  private end(booking: ModelBooking, at: Span): void {
    const { conference } = booking;
    conference.line = conference.line.filter((each) => each !== booking);
    booking.status = 'CANCELED';
    booking.deadline = null;
    booking.isOverdue = false;
    booking.canceledAt = at;
  }

  private offer(conference: ModelConference, at: Span): void {
    if (conference.hasStarted) return;
    while (this.free(conference) > 0) {
      const head = conference.line.shift();
      if (head === undefined) return;
      head.status = 'ConfirmationPending';
      head.deadline = {
        from: Math.min(at.from + this.windowMs, conference.startsAt),
        to: Math.min(at.to + this.windowMs, conference.startsAt),
      };
      this.counts.offered += 1;
    }
  }

  private refuse(status: 400 | 404, code: string, message?: string): Expected {
    this.counts.refused += 1;
    return { status, code, ...(message === undefined ? {} : { message }) };
  }

  private deny(): Expected {
    this.counts.refused += 1;
    return DENIED;
  }
}

/** Back to back is no overlap. */
function overlap(a: ModelConference, b: ModelConference): boolean {
  return a.startsAt < b.endsAt && b.startsAt < a.endsAt;
}

function position(rank: number | null): { waitlist_position: number | null } {
  return { waitlist_position: rank };
}

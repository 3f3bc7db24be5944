/** The words of the seat counts and of the line, as they are on the wire and in the database. */
export const BOOKING_STATUSES = ['CONFIRMED', 'WAITLISTED', 'ConfirmationPending', 'CANCELED'] as const;
export type BookingStatus = (typeof BOOKING_STATUSES)[number];

/** Why a booking went from one status to the next. */
export const TRANSITION_REASONS = [
  'booked',
  'joined_waitlist',
  'offered',
  'confirmed',
  'missed',
  'missed_too_often',
  'declined',
  'canceled',
  'conference_started',
] as const;
export type TransitionReason = (typeof TRANSITION_REASONS)[number];

/** Milliseconds since 1970 by the database's clock. */
export type Instant = number;

/** A conference as the rules see it. total = confirmed + held + available. */
export interface ConferenceSeats {
  readonly conferenceId: number;
  readonly name: string;
  readonly startsAt: Instant;
  readonly endsAt: Instant;
  readonly totalSlots: number;
  availableSlots: number;
  heldSlots: number;
  waitlisted: number;
  lastTicket: number;
  waitlistClosedAt: Instant | null;
}

/** A booking as the rules see it. `startsAt` and `endsAt` are its conference's. */
export interface Seat {
  readonly bookingId: number;
  readonly conferenceId: number;
  readonly userId: string;
  readonly startsAt: Instant;
  readonly endsAt: Instant;
  readonly createdAt: Instant;
  status: BookingStatus;
  /** The place in the line: set while `WAITLISTED` or `ConfirmationPending`. */
  queueTicket: number | null;
  /** Set while `ConfirmationPending`. */
  confirmationDeadline: Instant | null;
  missedOffers: number;
  canceledAt: Instant | null;
}

/** A booking that is in the archive: it can be looked up, and no longer changed. */
export interface ArchivedSeat {
  readonly bookingId: number;
  readonly userId: string;
  readonly status: BookingStatus;
}

/** One step of a booking's life, as it is written down. `fromStatus` is null when it begins. */
export interface Transition {
  bookingId: number;
  fromStatus: BookingStatus | null;
  toStatus: BookingStatus;
  reason: TransitionReason;
  causeBookingId: number | null;
  /** The organizer who took it in the owner's place; null: nobody did. */
  organizerId: string | null;
}

/** What an operator decides. */
export interface Policy {
  /** How long an offer stands. */
  windowMs: number;
  /** After so many offers missed in a row a booking is canceled; 0: never. */
  maxMissed: number;
  /** A user has at most so many active bookings of conferences that have not ended; 0: as many as they like. */
  maxActive: number;
}

/** What the box office can be asked to do. `organizerId`: an organizer asks, for themselves or in the owner's place. */
export type Command =
  | { kind: 'book'; userId: string; conferenceName: string; organizerId?: string }
  | { kind: 'confirm'; bookingId: number; userId: string }
  | { kind: 'cancel'; bookingId: number; userId: string | null; organizerId?: string }
  | TimerCommand;

/** What a person asks for, and waits for the answer. */
export type RequestCommand = Exclude<Command, TimerCommand>;

/** What a timer asks for: look at this conference, and do what is due. */
export interface TimerCommand {
  kind: 'expire' | 'start';
  conferenceId: number;
}

/** Whether it is a timer that asks, and no person who waits for an answer. */
export function isTimer(command: Command): command is TimerCommand {
  return command.kind === 'expire' || command.kind === 'start';
}

/** What came of a command. */
export type Outcome =
  | { kind: 'refused'; refusal: Refusal }
  | { kind: 'booked'; bookingId: number; status: 'CONFIRMED' | 'WAITLISTED'; waitlistPosition: number | null }
  | { kind: 'confirmed' }
  | { kind: 'canceled' }
  /** `more`: rows that are due were left for the next transaction. */
  | { kind: 'looked'; now: Instant; more: boolean };

/** Why a command was not carried out: one sentence for whoever asked, and a code that never changes. */
export interface Refusal {
  readonly kind: 'invalid' | 'not_found' | 'conflict' | 'unprocessable';
  readonly code: string;
  readonly message: string;
}

import type { Hall } from './hall.js';
import type { BookingStatus, Command, ConferenceSeats, Instant, Outcome, Refusal, Seat } from './model.js';
import { REFUSALS } from './refusals.js';

/**
 * Decides one command on what was loaded for it. Deterministic: no database, no clock, no chance.
 * A command that is refused leaves the hall as it was.
 */
export function decide(hall: Hall, command: Command): Outcome {
  switch (command.kind) {
    case 'book':
      return book(hall, command);
    case 'confirm':
      return confirm(hall, command.bookingId, command.userId);
    case 'cancel':
      return cancel(hall, command);
    case 'expire':
    case 'start':
      return lookAt(hall, hall.findConferenceById(command.conferenceId), command.kind);
  }
}

function book(hall: Hall, { userId, conferenceName, organizerId }: Extract<Command, { kind: 'book' }>): Outcome {
  const active = hall.findActiveSeats(userId);
  if (active === null) return refused(REFUSALS.userNotFound);
  const conference = hall.findConference(conferenceName);
  if (conference === null) return refused(REFUSALS.conferenceNotFound);
  if (hasStarted(hall.now, conference)) return refused(REFUSALS.conferenceStarted);
  if (active.some((seat) => seat.conferenceId === conference.conferenceId)) return refused(REFUSALS.alreadyBooked);
  if (active.some((seat) => overlap(seat, conference))) return refused(REFUSALS.overlapping);
  if (hasAsManyAsAllowed(hall, active)) return refused(REFUSALS.tooManyBookings);

  // A free slot implies that nobody waits: whoever freed it would have been made to offer it.
  const status = conference.availableSlots > 0 ? 'CONFIRMED' : 'WAITLISTED';
  const seat = hall.begin(conference, userId, status, { organizerId });
  return {
    kind: 'booked',
    bookingId: seat.bookingId,
    status,
    waitlistPosition: status === 'WAITLISTED' ? conference.waitlisted : null,
  };
}

function hasAsManyAsAllowed({ now, policy: { maxActive } }: Hall, active: readonly Seat[]): boolean {
  return maxActive > 0 && active.filter((seat) => now < seat.endsAt).length >= maxActive;
}

function confirm(hall: Hall, bookingId: number, userId: string): Outcome {
  const seat = hall.findSeat(bookingId);
  if (seat === null) return refuseArchived(hall, bookingId, userId, () => REFUSALS.notPending);
  if (seat.userId !== userId) return refused(REFUSALS.notOwner);
  if (seat.status !== 'ConfirmationPending') return refused(REFUSALS.notPending);
  if (hasStarted(hall.now, hall.conference(seat.conferenceId))) return refused(REFUSALS.startedUnconfirmed);
  if (isOverdue(hall, seat)) return refused(REFUSALS.deadlinePassed);
  hall.move(seat, 'CONFIRMED', 'confirmed');
  return { kind: 'confirmed' };
}

function cancel(hall: Hall, { bookingId, userId, organizerId }: Extract<Command, { kind: 'cancel' }>): Outcome {
  const seat = hall.findSeat(bookingId);
  if (seat === null) {
    return refuseArchived(hall, bookingId, userId, (status) =>
      status === 'CANCELED' ? REFUSALS.alreadyCanceled : REFUSALS.conferenceOver,
    );
  }
  if (userId !== null && seat.userId !== userId) return refused(REFUSALS.notOwner);
  if (seat.status === 'CANCELED') return refused(REFUSALS.alreadyCanceled);
  hall.move(seat, 'CANCELED', seat.status === 'ConfirmationPending' ? 'declined' : 'canceled', { organizerId });
  offerFreeSlots(hall, hall.conference(seat.conferenceId), seat);
  return { kind: 'canceled' };
}

/** What is in the archive stays as it is: only the reason differs. */
function refuseArchived(
  hall: Hall,
  bookingId: number,
  userId: string | null,
  why: (status: BookingStatus) => Refusal,
): Outcome {
  const seat = hall.findArchivedSeat(bookingId);
  if (seat === null) return refused(REFUSALS.bookingNotFound);
  if (userId !== null && seat.userId !== userId) return refused(REFUSALS.notOwner);
  return refused(why(seat.status));
}

/** A timer went off, or the sweep came by: does what is due, and nothing where nothing is. */
function lookAt(hall: Hall, conference: ConferenceSeats | null, kind: 'expire' | 'start'): Outcome {
  // A timer may outlive what it was set for.
  if (conference === null) return { kind: 'looked', now: hall.now, more: false };
  // An offer whose deadline is the start is a start.
  if (hasStarted(hall.now, conference)) return start(hall, conference);
  return kind === 'expire' ? expire(hall, conference) : { kind: 'looked', now: hall.now, more: false };
}

function expire(hall: Hall, conference: ConferenceSeats): Outcome {
  const overdue = hall
    .activeSeats(conference.conferenceId)
    .filter((seat) => isOverdue(hall, seat))
    // The order of deadlines, not of messages, decides who stands where in the line.
    .sort(
      (a, b) =>
        (a.confirmationDeadline ?? 0) - (b.confirmationDeadline ?? 0) || (a.queueTicket ?? 0) - (b.queueTicket ?? 0),
    );
  for (const seat of overdue) {
    seat.missedOffers += 1;
    if (hall.policy.maxMissed > 0 && seat.missedOffers >= hall.policy.maxMissed) {
      hall.move(seat, 'CANCELED', 'missed_too_often');
    } else {
      hall.move(seat, 'WAITLISTED', 'missed');
    }
    offerFreeSlots(hall, conference, seat);
  }
  return { kind: 'looked', now: hall.now, more: hall.isCutShort(conference.conferenceId) };
}

/** At the start the line is closed: in chunks of what was loaded, so that a line of 100,000 stalls nobody. */
function start(hall: Hall, conference: ConferenceSeats): Outcome {
  const left = hall.activeSeats(conference.conferenceId).filter((seat) => seat.status !== 'CONFIRMED');
  for (const seat of left) hall.move(seat, 'CANCELED', 'conference_started');
  const more = left.length > 0 && conference.waitlisted + conference.heldSlots > 0;
  if (!more && conference.waitlistClosedAt === null) hall.closeWaitlist(conference);
  return { kind: 'looked', now: hall.now, more };
}

/** No free slot idles while somebody waits: whoever frees one calls this in the same breath. */
function offerFreeSlots(hall: Hall, conference: ConferenceSeats, cause: Seat): void {
  if (hasStarted(hall.now, conference)) return;
  while (conference.availableSlots > 0 && conference.waitlisted > 0) {
    hall.move(hall.headOfLine(conference), 'ConfirmationPending', 'offered', {
      deadline: Math.min(hall.now + hall.policy.windowMs, conference.startsAt),
      causeBookingId: cause.bookingId,
    });
  }
}

/** A line that was closed stays closed, also where another database's clock is behind after a failover. */
export function hasStarted(now: Instant, conference: ConferenceSeats): boolean {
  return now >= conference.startsAt || conference.waitlistClosedAt !== null;
}

/** Only an open offer has a deadline. */
function isOverdue(hall: Hall, seat: Seat): boolean {
  return hall.now >= (seat.confirmationDeadline ?? Infinity);
}

/** Start inclusive, end exclusive: back to back is no overlap. */
function overlap(a: { startsAt: number; endsAt: number }, b: { startsAt: number; endsAt: number }): boolean {
  return a.startsAt < b.endsAt && b.startsAt < a.endsAt;
}

function refused(refusal: Refusal): Outcome {
  return { kind: 'refused', refusal };
}

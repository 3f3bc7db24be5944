import type { Refusal } from './model.js';

const invalid = (code: string, message: string): Refusal => ({ kind: 'invalid', code, message });

export const REFUSALS = {
  userNotFound: invalid('USER_NOT_FOUND', 'User not found: register the user first'),
  conferenceNotFound: invalid('CONFERENCE_NOT_FOUND', 'Conference not found: check its name'),
  conferenceStarted: invalid('CONFERENCE_STARTED', 'The conference has started: it takes no more bookings'),
  alreadyBooked: invalid('ALREADY_BOOKED', 'User already has an active booking for this conference: cancel it first'),
  overlapping: invalid(
    'OVERLAPPING_BOOKING',
    'User has an active booking that overlaps this conference in time: cancel it first',
  ),
  tooManyBookings: invalid(
    'TOO_MANY_BOOKINGS',
    'User has as many active bookings as one user may have: cancel one, or book again when one of their conferences has ended',
  ),
  bookingNotFound: {
    kind: 'not_found',
    code: 'BOOKING_NOT_FOUND',
    message: 'Booking not found: check its booking_id',
  },
  notOwner: invalid('ACCESS_DENIED', 'Access denied: booking belongs to different user'),
  notPending: invalid(
    'NOT_CONFIRMATION_PENDING',
    'Booking has no open offer: only a ConfirmationPending booking can be confirmed',
  ),
  deadlinePassed: invalid('DEADLINE_PASSED', 'The confirmation deadline has passed: wait for the next offer'),
  startedUnconfirmed: invalid(
    'CONFERENCE_STARTED',
    'The conference has started: its offers can no longer be confirmed',
  ),
  conferenceOver: invalid('CONFERENCE_OVER', 'The conference is long over: its bookings can only be looked up'),
  alreadyCanceled: invalid('ALREADY_CANCELED', 'Booking is already canceled'),
  idempotencyKeyInUse: {
    kind: 'conflict',
    code: 'IDEMPOTENCY_KEY_IN_USE',
    message: 'The first request with this Idempotency-Key is still running: try again shortly',
  },
  idempotencyKeyReused: {
    kind: 'unprocessable',
    code: 'IDEMPOTENCY_KEY_REUSED',
    message: 'This Idempotency-Key came with another body before: send a new key with a new request',
  },
} as const satisfies Record<string, Refusal>;

import { createHash } from 'node:crypto';
import { AppError } from '../common/app-error.js';
import { errorAnswer } from '../http/http-errors.filter.js';
import type { Answer } from '../seating/idempotency.js';
import type { Outcome, RequestCommand } from '../seating/model.js';

/** `isReplay`: it is the answer to an earlier request with the same key. */
export interface SentAnswer extends Answer {
  readonly isReplay: boolean;
}

/** What a person is told of what came of their request, in the words of the contract. */
export function answerTo(outcome: Outcome): Answer {
  const { status, body } = contentOf(outcome);
  return { status, body: JSON.stringify(body) };
}

function contentOf(outcome: Outcome): { status: number; body: object } {
  switch (outcome.kind) {
    case 'booked': {
      const { bookingId, status, waitlistPosition } = outcome;
      const message = status === 'CONFIRMED' ? 'Booking confirmed successfully' : 'Added to waitlist';
      return {
        status: 201,
        body: { booking_id: bookingId, status, message, waitlist_position: waitlistPosition },
      };
    }
    case 'confirmed':
      return { status: 200, body: { message: 'Booking confirmed successfully' } };
    case 'canceled':
      return { status: 200, body: { message: 'Booking canceled successfully' } };
    case 'refused': {
      const { kind, code, message } = outcome.refusal;
      return errorAnswer(new AppError(kind, code, message));
    }
    case 'looked':
      throw new Error('A look at a conference answers nobody');
  }
}

/** The same for bodies that ask for the same, whatever their white space and the order of their fields. */
export function fingerprintOf(command: RequestCommand): string {
  return createHash('sha256').update(JSON.stringify(command)).digest('base64');
}

import { type Booking, type BookingStatus, type Conference, type ConferenceBooking } from '../api-client.js';
import {
  aBoolean,
  anInteger,
  aPosition,
  aSentence,
  aUtcInstant,
  expectEqual,
  expectFields,
  type Fields,
  type Matcher,
} from './expect.js';

const STATUSES: readonly unknown[] = ['CONFIRMED', 'WAITLISTED', 'ConfirmationPending', 'CANCELED'];

const aStatus: Matcher = { description: STATUSES.join(', '), matches: (value) => STATUSES.includes(value) };
const aListOfTexts: Matcher = {
  description: 'a list of texts',
  matches: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string'),
};
const aCount: Matcher = {
  description: 'an integer from 0',
  matches: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
};

/** A booking of `GET /booking/{id}` with every field of the right type and fitting its status. Throws ExpectationFailed. */
export function asBooking(what: string, value: unknown): Booking {
  const fields = expectFields(what, value, { booking_id: anInteger, conference_name: aSentence });
  expectFitsStatus(what, fields);
  return value as Booking;
}

/** A booking of `GET /conference/{name}/bookings`, checked as asBooking does. Throws ExpectationFailed. */
export function asConferenceBooking(what: string, value: unknown): ConferenceBooking {
  const fields = expectFields(what, value, { booking_id: anInteger, user_id: aSentence, created_at: aUtcInstant });
  const status = expectFitsStatus(what, fields);
  expectFields(what, value, { canceled_at: status === 'CANCELED' ? aUtcInstant : null });
  return value as ConferenceBooking;
}

/** A conference with every field of the right type and counts that can be. Throws ExpectationFailed. */
export function asConference(what: string, value: unknown): Conference {
  expectFields(what, value, {
    name: aSentence,
    location: aSentence,
    start: aUtcInstant,
    end: aUtcInstant,
    topics: aListOfTexts,
    total_slots: aCount,
    available_slots: aCount,
    held_slots: aCount,
    waitlisted: aCount,
  });
  const conference = value as Conference;
  const { total_slots: total, available_slots: available, held_slots: held, waitlisted } = conference;
  expectEqual(`${what}, free and held within the slots`, available + held <= total, true);
  expectEqual(`${what}, free slots while somebody waits`, waitlisted > 0 ? available : 0, 0);
  return conference;
}

/** What of position, deadline and can_confirm goes with which status. */
function expectFitsStatus(what: string, fields: Fields): BookingStatus {
  expectFields(what, fields, { status: aStatus });
  const status = fields.status as BookingStatus;
  const isPending = status === 'ConfirmationPending';
  expectFields(`${what} (${status})`, fields, {
    waitlist_position: status === 'WAITLISTED' ? aPosition : null,
    confirmation_deadline: isPending ? aUtcInstant : null,
    can_confirm: isPending ? aBoolean : false,
  });
  return status;
}

import { type BookingStatus, type Conference, type ConferenceBooking } from '../api-client.js';

/** How many bookings of a conference are in which state. */
export type StatusCounts = Record<BookingStatus, number>;

export function countStatuses(bookings: readonly Pick<ConferenceBooking, 'status'>[]): StatusCounts {
  const counts: StatusCounts = { CONFIRMED: 0, WAITLISTED: 0, ConfirmationPending: 0, CANCELED: 0 };
  for (const { status } of bookings) counts[status] += 1;
  return counts;
}

/** The rules that one look at the bookings of a conference that has not started shows broken, a sentence for each. */
export function brokenInBookings(
  { name, total_slots: slots }: Pick<Conference, 'name' | 'total_slots'>,
  bookings: readonly Pick<ConferenceBooking, 'status' | 'waitlist_position'>[],
): string[] {
  const counts = countStatuses(bookings);
  const taken = counts.CONFIRMED + counts.ConfirmationPending;
  const broken: string[] = [];
  if (taken > slots) broken.push(`"${name}" is oversold: ${taken} confirmed and held on ${slots} slots.`);
  if (counts.WAITLISTED > 0 && taken < slots) {
    broken.push(`"${name}" leaves slots idle: ${slots - taken} of ${slots} are free while ${counts.WAITLISTED} wait.`);
  }
  const positions = bookings.flatMap(({ waitlist_position: position }) => (position === null ? [] : [position]));
  positions.sort((a, b) => a - b);
  if (positions.length !== counts.WAITLISTED || positions.some((position, index) => position !== index + 1)) {
    broken.push(`The line of "${name}" is not numbered from 1 without gaps.`);
  }
  return broken;
}

/** The rules that the counts of a conference show broken, a sentence for each. */
export function brokenInCounts(
  conference: Pick<Conference, 'name' | 'total_slots' | 'available_slots' | 'held_slots' | 'waitlisted'>,
): string[] {
  const { name, total_slots: slots, available_slots: free, held_slots: held, waitlisted } = conference;
  const broken: string[] = [];
  if (free < 0 || held < 0 || free + held > slots) {
    broken.push(`"${name}" counts ${free} free and ${held} held slots of ${slots}.`);
  }
  if (waitlisted > 0 && free > 0)
    broken.push(`"${name}" leaves slots idle: ${free} of ${slots} are free while ${waitlisted} wait.`);
  return broken;
}

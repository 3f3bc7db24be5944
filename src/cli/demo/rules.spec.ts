import { type BookingStatus } from '../api-client.js';
import { brokenInBookings, brokenInCounts, countStatuses } from './rules.js';

const HALL = { name: 'Systems Day', total_slots: 2 };

function bookings(
  ...states: (BookingStatus | number)[]
): { status: BookingStatus; waitlist_position: number | null }[] {
  return states.map((state) =>
    typeof state === 'number'
      ? { status: 'WAITLISTED', waitlist_position: state }
      : { status: state, waitlist_position: null },
  );
}

describe('brokenInBookings', () => {
  it.each([
    [bookings()],
    [bookings('CONFIRMED', 'CANCELED')],
    [bookings('CONFIRMED', 'ConfirmationPending', 2, 1, 'CANCELED', 3)],
  ])('finds nothing where all is well (%#)', (list) => {
    expect(brokenInBookings(HALL, list)).toEqual([]);
  });

  it.each([
    [bookings('CONFIRMED', 'CONFIRMED', 'ConfirmationPending'), /oversold: 3 confirmed and held on 2/],
    [bookings('CONFIRMED', 1), /idle: 1 of 2 are free while 1 wait/],
    [bookings('CONFIRMED', 'CONFIRMED', 1, 3), /not numbered/],
    [bookings('CONFIRMED', 'CONFIRMED', 1, 1), /not numbered/],
    [
      [...bookings('CONFIRMED', 'CONFIRMED'), { status: 'WAITLISTED' as const, waitlist_position: null }],
      /not numbered/,
    ],
  ])('says what is broken (%#)', (list, sentence) => {
    const broken = brokenInBookings(HALL, list);
    expect(broken).toEqual([expect.stringMatching(sentence)]);
  });
});

describe('brokenInCounts', () => {
  const counts = { ...HALL, available_slots: 0, held_slots: 1, waitlisted: 5 };

  it('finds nothing where all is well', () => {
    expect(brokenInCounts(counts)).toEqual([]);
    expect(brokenInCounts({ ...counts, available_slots: 2, held_slots: 0, waitlisted: 0 })).toEqual([]);
  });

  it.each([
    [{ available_slots: -1 }, /-1 free/],
    [{ held_slots: 3 }, /3 held/],
    [{ available_slots: 1 }, /idle: 1 of 2 are free while 5 wait/],
  ])('says what is broken (%#)', (change, sentence) => {
    expect(brokenInCounts({ ...counts, ...change })).toEqual([expect.stringMatching(sentence)]);
  });
});

describe('countStatuses', () => {
  it('counts every status', () => {
    expect(countStatuses(bookings('CONFIRMED', 1, 2, 'CANCELED'))).toEqual({
      CONFIRMED: 1,
      WAITLISTED: 2,
      ConfirmationPending: 0,
      CANCELED: 1,
    });
  });
});

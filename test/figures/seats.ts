import type { House } from './house.js';

export interface Seats {
  conferences: number;
  /** Of each conference. All are taken: confirmed, or behind an open offer. */
  slots: number;
  /** How many wait in each line. */
  waiting: number;
  /** When all slots were offered, as ISO 8601; null: they are confirmed. */
  offeredAt: string | null;
}

/**
 * Conferences 1 to N of an empty database, which begin in 100 days, with people of their own: what many requests would have
 * come to, written directly, as they would take long.
 */
export async function fillHalls(house: House, { conferences, slots, waiting, offeredAt }: Seats): Promise<void> {
  const { windowMs } = house.environment.offers;
  await house.query(
    `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots, held_slots, waitlisted, last_ticket)
     SELECT 'Hall ' || n, 'Here', at, at + interval '1 hour', $2::int, 0, $3::int, $4::int, $2::int + $4::int
     FROM generate_series(1, $1::int) n, date_trunc('milliseconds', now() + interval '100 days') AS at`,
    [conferences, slots, offeredAt === null ? 0 : slots, waiting],
  );
  await house.query(
    `INSERT INTO users (user_id)
     SELECT 'p' || conference_id || 'x' || n FROM conferences, generate_series(1, $1::int) n`,
    [slots + waiting],
  );
  await house.query(
    `WITH seated AS (
       INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket, confirmation_deadline, created_at)
       SELECT conference_id, 'p' || conference_id || 'x' || n, status, tstzrange(starts_at, ends_at),
         CASE status WHEN 'CONFIRMED' THEN NULL ELSE n END,
         CASE status WHEN 'ConfirmationPending' THEN $3::timestamptz + make_interval(secs => $4) END, now()
       FROM conferences, generate_series(1, $1::int + $2::int) n, LATERAL (
         SELECT (CASE WHEN n > $1 THEN 'WAITLISTED' WHEN $3::timestamptz IS NULL THEN 'CONFIRMED'
           ELSE 'ConfirmationPending' END)::booking_status AS status
       ) seat ORDER BY conference_id, n RETURNING booking_id, status
     )
     INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, at)
     SELECT booking_id, from_status::booking_status, to_status::booking_status, reason, at FROM seated,
       LATERAL (VALUES
         (1, 'CONFIRMED', NULL, 'CONFIRMED', 'booked', now()),
         (1, 'WAITLISTED', NULL, 'WAITLISTED', 'joined_waitlist', now()),
         (1, 'ConfirmationPending', NULL, 'WAITLISTED', 'joined_waitlist', now()),
         (2, 'ConfirmationPending', 'WAITLISTED', 'ConfirmationPending', 'offered', $3::timestamptz)
       ) step(number, became, from_status, to_status, reason, at)
     WHERE became = status::text ORDER BY booking_id, number`,
    [slots, waiting, offeredAt, windowMs / 1_000],
  );
  // As it is wherever the database has been in use for more than a minute.
  await house.query('ANALYZE');
}

/** The confirmed bookings, one for each slot, in the order of their conferences. */
export async function findConfirmed(house: House): Promise<number[]> {
  const rows = await house.query<{ booking_id: string }>(
    `SELECT booking_id FROM bookings WHERE status = 'CONFIRMED' ORDER BY booking_id`,
  );
  return rows.map(({ booking_id: bookingId }) => Number(bookingId));
}

/** Statements past the servers, on the database of either. */
export type Query = (sql: string, parameters?: unknown[]) => Promise<unknown[]>;

/** Users `<prefix>1` to `<prefix>N`. */
export async function addUsers(query: Query, prefix: string, count: number): Promise<void> {
  await query('INSERT INTO users (user_id) SELECT $1 || n FROM generate_series(1, $2::int) n', [prefix, count]);
}

/** Conferences `<prefix> 1` to `<prefix> N` of one hour, in 100 days, with so many free slots each. */
export async function addConferences(query: Query, prefix: string, count: number, slots: number): Promise<void> {
  await query(
    `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
     SELECT $1 || ' ' || n, 'Hall', at, at + interval '1 hour', $3::int, $3::int
     FROM generate_series(1, $2::int) n, date_trunc('milliseconds', now() + interval '100 days') AS at`,
    [prefix, count, slots],
  );
}

export interface FullHalls {
  /** Conferences `<prefix> 1` to `<prefix> N`, whose people are `<prefix>` and a number; letters and digits. */
  prefix: string;
  conferences: number;
  /** How many of each have a slot, how many an open offer, how many wait. */
  confirmed: number;
  offered: number;
  waiting: number;
  /** When all offers were made, and until when they stand, as ISO 8601. */
  offeredAt?: string;
  deadline?: string;
}

/** Full conferences of the service, as thousands of requests would have left them, written directly. */
export async function fillHalls(query: Query, halls: FullHalls): Promise<void> {
  const { prefix, conferences, confirmed, offered, waiting, offeredAt = null, deadline = null } = halls;
  const people = confirmed + offered + waiting;
  await query(
    `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots, held_slots, waitlisted, last_ticket)
     SELECT $1 || ' ' || n, 'Hall', at, at + interval '1 hour', $3::int + $4::int, 0, $4::int, $5::int, $4::int + $5::int
     FROM generate_series(1, $2::int) n, date_trunc('milliseconds', now() + interval '100 days') AS at`,
    [prefix, conferences, confirmed, offered, waiting],
  );
  await addUsers(query, prefix, conferences * people);
  await query(
    `WITH seated AS (
       INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket, confirmation_deadline, created_at)
       SELECT conference_id, $1 || (hall - 1) * $5::int + n, status, tstzrange(starts_at, ends_at),
         CASE status WHEN 'CONFIRMED' THEN NULL ELSE n - $3::int END,
         CASE status WHEN 'ConfirmationPending' THEN $7::timestamptz END, now()
       FROM generate_series(1, $2::int) hall JOIN conferences ON name = $1 || ' ' || hall,
         generate_series(1, $5::int) n, LATERAL (
           SELECT (CASE WHEN n <= $3 THEN 'CONFIRMED' WHEN n <= $3 + $4::int THEN 'ConfirmationPending'
             ELSE 'WAITLISTED' END)::booking_status AS status
         ) seat ORDER BY conference_id, n RETURNING booking_id, status
     )
     INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, at)
     SELECT booking_id, from_status::booking_status, to_status::booking_status, reason, coalesce(at, now()) FROM seated,
       LATERAL (VALUES
         (1, 'CONFIRMED', NULL, 'CONFIRMED', 'booked', NULL),
         (1, 'WAITLISTED', NULL, 'WAITLISTED', 'joined_waitlist', NULL),
         (1, 'ConfirmationPending', NULL, 'WAITLISTED', 'joined_waitlist', $6::timestamptz),
         (2, 'ConfirmationPending', 'WAITLISTED', 'ConfirmationPending', 'offered', $6::timestamptz)
       ) step (number, became, from_status, to_status, reason, at)
     WHERE became = status::text ORDER BY booking_id, number`,
    [prefix, conferences, confirmed, offered, people, offeredAt, deadline],
  );
}

/**
 * Full conferences in an empty database of the bare server: in each so many have a slot, and as many wait.
 * The ids are those that {@link fillHalls} leads to.
 */
export async function fillBareHalls(query: Query, halls: number, confirmed: number): Promise<void> {
  await addConferences(query, 'Hall', halls, confirmed);
  await addUsers(query, 'guest', halls * 2 * confirmed);
  await query(
    `INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket)
     SELECT conference_id, 'guest' || (conference_id - 1) * 2 * $1::int + n,
       (CASE WHEN n <= $1 THEN 'CONFIRMED' ELSE 'WAITLISTED' END)::booking_status, tstzrange(starts_at, ends_at),
       CASE WHEN n > $1 THEN n - $1 END
     FROM conferences, generate_series(1, 2 * $1::int) n ORDER BY conference_id, n`,
    [confirmed],
  );
  await query('UPDATE conferences SET available_slots = 0, waitlisted = total_slots');
}

/** Lets the planner know what was written, as it does by itself wherever a database has been in use for a minute. */
export async function settle(query: Query): Promise<void> {
  await query('VACUUM (ANALYZE) users, conferences, bookings');
}

import type { BookingStatus, Seat } from './model.js';

/** What a batch reads and writes, set by set. Locks are not here: they are the repositories'. */

/** The time after the locks, the transaction's id (asked for when its COMMIT gets lost), and $1 ids for new bookings. */
export const CLOCK_AND_IDS = `
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) AS now, pg_current_xact_id()::text AS transaction_id,
    ARRAY(SELECT nextval('bookings_booking_id_seq') FROM generate_series(1, $1::int)) AS ids`;

const SEAT = `b.booking_id, b.conference_id, b.user_id, b.status, lower(b.during) AS starts_at, upper(b.during) AS ends_at,
  b.queue_ticket, b.confirmation_deadline, b.missed_offers, b.created_at, b.canceled_at`;

export interface SeatRow {
  booking_id: string;
  conference_id: number;
  user_id: string;
  status: BookingStatus;
  starts_at: Date;
  ends_at: Date;
  queue_ticket: string | null;
  confirmation_deadline: Date | null;
  missed_offers: number;
  created_at: Date;
  canceled_at: Date | null;
}

export function seatFromRow(row: SeatRow): Seat {
  return {
    bookingId: Number(row.booking_id),
    conferenceId: row.conference_id,
    userId: row.user_id,
    startsAt: row.starts_at.getTime(),
    endsAt: row.ends_at.getTime(),
    createdAt: row.created_at.getTime(),
    status: row.status,
    queueTicket: row.queue_ticket === null ? null : Number(row.queue_ticket),
    confirmationDeadline: row.confirmation_deadline?.getTime() ?? null,
    missedOffers: row.missed_offers,
    canceledAt: row.canceled_at?.getTime() ?? null,
  };
}

export const BOOKINGS_BY_ID = `SELECT ${SEAT} FROM bookings b WHERE b.booking_id = ANY($1::bigint[])`;

/** Those of bookings $1 that are in the archive. */
export const ARCHIVED_BY_ID = `SELECT booking_id, user_id, status FROM archived_bookings WHERE booking_id = ANY($1::bigint[])`;

export interface ArchivedRow {
  booking_id: string;
  user_id: string;
  status: BookingStatus;
}

/**
 * The active bookings of users $1 that overlap in time, each, the conference named $2. A user has few of them, and
 * bookings_active_key finds them at an eighth of what bookings_no_overlap takes: OFFSET 0 keeps the planner from that one.
 */
export const OVERLAPPING = `
  SELECT ${SEAT} FROM unnest($1::text[], $2::text[]) AS wish(user_id, name)
  JOIN conferences c USING (name)
  CROSS JOIN LATERAL (
    SELECT * FROM bookings a WHERE a.user_id = wish.user_id AND a.status <> 'CANCELED' OFFSET 0) b
  WHERE b.during && tstzrange(c.starts_at, c.ends_at)`;

/** The active bookings of users $1 whose conferences have not ended. */
export const ACTIVE_OF_USERS = `
  SELECT ${SEAT} FROM bookings b
  WHERE b.user_id = ANY($1::text[]) AND b.status <> 'CANCELED' AND upper(b.during) > clock_timestamp()`;

/** The front of each line, in order. @param wish gives `conference_id`, and as `front` how many */
const frontOf = (wish: string): string => `
  SELECT ${SEAT} FROM ${wish}
  CROSS JOIN LATERAL (SELECT * FROM bookings w WHERE w.conference_id = wish.conference_id AND w.status = 'WAITLISTED'
    ORDER BY w.conference_id, w.queue_ticket LIMIT wish.front) b
  ORDER BY b.conference_id, b.queue_ticket`;

/** The first $2 in the line of each conference $1. */
export const FRONT_OF_LINES = frontOf('unnest($1::int[], $2::int[]) AS wish(conference_id, front)');

/** As many of the front of each line as bookings $1 are of its conference: each may free a slot. */
export const FRONT_BEHIND_BOOKINGS = frontOf(`(
    SELECT conference_id, count(*) AS front FROM bookings WHERE booking_id = ANY($1::bigint[]) GROUP BY conference_id
  ) AS wish`);

/** The offers of conferences $1 whose deadline has passed at $2, at most $3 for each, the oldest first. */
export const OVERDUE_OFFERS = `
  SELECT ${SEAT} FROM unnest($1::int[]) AS wish(conference_id)
  CROSS JOIN LATERAL (SELECT * FROM bookings o WHERE o.conference_id = wish.conference_id
    AND o.status = 'ConfirmationPending' AND o.confirmation_deadline <= $2
    ORDER BY o.conference_id, o.confirmation_deadline, o.queue_ticket LIMIT $3) b`;

/** Whoever still waits or holds an offer in conferences $1, at most $2 of each kind for each. */
export const LEFT_AT_START = `
  SELECT ${SEAT} FROM unnest($1::int[]) AS wish(conference_id)
  CROSS JOIN LATERAL (
    (SELECT * FROM bookings o WHERE o.conference_id = wish.conference_id AND o.status = 'ConfirmationPending'
      ORDER BY o.conference_id, o.confirmation_deadline LIMIT $2)
    UNION ALL
    (SELECT * FROM bookings w WHERE w.conference_id = wish.conference_id AND w.status = 'WAITLISTED'
      ORDER BY w.conference_id, w.queue_ticket LIMIT $2)
  ) b`;

export const UPDATE_BOOKINGS = `
  UPDATE bookings b SET status = w.status, queue_ticket = w.queue_ticket, confirmation_deadline = w.deadline,
    missed_offers = w.missed_offers, canceled_at = w.canceled_at
  FROM unnest($1::bigint[], $2::booking_status[], $3::bigint[], $4::timestamptz[], $5::int[], $6::timestamptz[])
    AS w(booking_id, status, queue_ticket, deadline, missed_offers, canceled_at)
  WHERE b.booking_id = w.booking_id`;

/** New bookings, what became of the conferences' counters, and every step that was taken. */
export const WRITE_NEW = `
  WITH new_bookings AS (
    INSERT INTO bookings (booking_id, conference_id, user_id, status, during, queue_ticket, confirmation_deadline, created_at)
    SELECT w.booking_id, w.conference_id, w.user_id, w.status, tstzrange(w.starts_at, w.ends_at), w.ticket, w.deadline, $20
    FROM unnest($1::bigint[], $2::int[], $3::text[], $4::booking_status[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
      $8::timestamptz[]) AS w(booking_id, conference_id, user_id, status, starts_at, ends_at, ticket, deadline)
  ), counters AS (
    UPDATE conferences c SET available_slots = w.available, held_slots = w.held, waitlisted = w.waitlisted,
      last_ticket = w.last_ticket, waitlist_closed_at = w.closed_at
    FROM unnest($9::int[], $10::int[], $11::int[], $12::int[], $13::bigint[], $14::timestamptz[])
      AS w(conference_id, available, held, waitlisted, last_ticket, closed_at)
    WHERE c.conference_id = w.conference_id
  )
  INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, cause_booking_id, organizer_id, at)
  SELECT w.booking_id, w.from_status, w.to_status, w.reason, w.cause, w.organizer, $20
  FROM unnest($15::bigint[], $16::booking_status[], $17::booking_status[], $18::text[], $19::bigint[], $21::text[])
    WITH ORDINALITY AS w(booking_id, from_status, to_status, reason, cause, organizer, step)
  ORDER BY w.step`;

/** Those of the keys $2 of routes $1 that nobody else has in work: locked until the end of the transaction. */
export const TRY_LOCK_KEYS = `
  SELECT route, key FROM unnest($1::text[], $2::text[]) AS wish(route, key)
  WHERE pg_try_advisory_xact_lock(hashtextextended(route || ' ' || key, 0))`;

/** How long an answer is repeated for its key. */
const KEPT = "interval '24 hours'";

export const FIND_KEYS = `
  SELECT route, key, fingerprint, status, body FROM idempotency_keys
  JOIN unnest($1::text[], $2::text[]) AS wish(route, key) USING (route, key)
  WHERE created_at > clock_timestamp() - ${KEPT}`;

/** One that is there already is too old to be repeated. */
export const KEEP_KEYS = `
  INSERT INTO idempotency_keys (route, key, fingerprint, status, body, created_at)
  SELECT route, key, fingerprint, status, body, clock_timestamp()
  FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::text[]) AS w(route, key, fingerprint, status, body)
  ON CONFLICT (route, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
    body = excluded.body, created_at = excluded.created_at`;

/** Forgets at most $1 of the keys that are too old, the oldest first. */
export const FORGET_KEYS = `
  DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at <= clock_timestamp() - ${KEPT}
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED))`;

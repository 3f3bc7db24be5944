import { blockOf } from '../../seating/line-rank.js';
import { BOOKING_STATUSES } from '../../seating/model.js';
import type { BookingStatus, TransitionReason } from '../../seating/model.js';

/** A statement about the whole database; `sql` finds the rows that break it, in one pass over each table it reads. */
export interface Rule {
  name: string;
  sql: string;
}

export interface Moment {
  /** The database's time as an SQL literal. Not before the snapshot: then every change in it was decided before that. */
  at: string;
  /** The sweep needs a moment for what is due: only what is overdue for longer breaks a rule. */
  graceSeconds: number;
}

/** All ways a booking may go, with the reasons for each: what the box office does, and nothing else. */
export const LEGAL_TRANSITIONS: readonly (readonly [BookingStatus | null, BookingStatus, TransitionReason])[] = [
  [null, 'CONFIRMED', 'booked'],
  [null, 'WAITLISTED', 'joined_waitlist'],
  ['WAITLISTED', 'ConfirmationPending', 'offered'],
  ['WAITLISTED', 'CANCELED', 'canceled'],
  ['WAITLISTED', 'CANCELED', 'conference_started'],
  ['ConfirmationPending', 'CONFIRMED', 'confirmed'],
  ['ConfirmationPending', 'WAITLISTED', 'missed'],
  ['ConfirmationPending', 'CANCELED', 'missed_too_often'],
  ['ConfirmationPending', 'CANCELED', 'declined'],
  ['ConfirmationPending', 'CANCELED', 'conference_started'],
  ['CONFIRMED', 'CANCELED', 'canceled'],
];

const [CONFIRMED, WAITLISTED, PENDING, CANCELED] = BOOKING_STATUSES.map((status) => `'${status}'`);

/** Live and archived ones: a rule that held while they were live holds ever after. */
const BOOKINGS = `(
    SELECT booking_id, conference_id, user_id, status, during, queue_ticket, confirmation_deadline FROM bookings
    UNION ALL
    SELECT booking_id, conference_id, user_id, status, during, NULL, NULL FROM archived_bookings
  ) bookings`;
const TRANSITIONS = `(
    SELECT transition_id, booking_id, from_status, to_status, reason FROM booking_transitions
    UNION ALL
    SELECT transition_id, booking_id, from_status, to_status, reason FROM archived_transitions
  ) transitions`;

/** What the bookings themselves say of every conference's seats, those included that were exported and then deleted. */
const SEATS = `
  SELECT c.*, coalesce(confirmed, 0) + exported_confirmed AS confirmed, coalesce(pending, 0) AS pending, coalesce(waiting, 0) AS waiting,
    max_ticket
  FROM conferences c LEFT JOIN (
    SELECT conference_id, count(*) FILTER (WHERE status = ${CONFIRMED}) AS confirmed,
      count(*) FILTER (WHERE status = ${PENDING}) AS pending, count(*) FILTER (WHERE status = ${WAITLISTED}) AS waiting,
      max(queue_ticket) AS max_ticket
    FROM ${BOOKINGS} GROUP BY conference_id
  ) counted USING (conference_id)`;

/** The rules of the contract, and that what the tables say twice agrees. */
export function auditRules({ at, graceSeconds }: Moment): Rule[] {
  const overdueSince = `${at}::timestamptz - interval '${graceSeconds} seconds'`;
  const grace = `for more than ${graceSeconds} s`;
  return [
    {
      name: 'never oversold: confirmed and held slots are no more than there are',
      sql: `SELECT conference_id, name, total_slots, confirmed, pending AS held FROM (${SEATS}) seats
        WHERE confirmed + pending > total_slots`,
    },
    {
      name: 'never idle: until the start no slot is free while anybody waits',
      sql: `SELECT conference_id, name, total_slots, available_slots, confirmed, pending AS held, waiting
        FROM (${SEATS}) seats WHERE starts_at > ${at}::timestamptz AND waiting > 0
          AND (available_slots > 0 OR confirmed + pending < total_slots)`,
    },
    {
      name: 'counters equal what they count: available, held and waiting',
      sql: `SELECT conference_id, name, total_slots, available_slots, held_slots, waitlisted, confirmed, pending, waiting
        FROM (${SEATS}) seats WHERE available_slots <> total_slots - confirmed - pending
          OR held_slots <> pending OR waitlisted <> waiting`,
    },
    {
      name: 'ranks equal what they count: how many wait in each block of a line',
      sql: `SELECT conference_id, block, coalesce(waiting, 0) AS waiting, coalesce(counted, 0) AS counted
        FROM line_blocks FULL JOIN (
          SELECT conference_id, ${blockOf('queue_ticket')} AS block, count(*) AS counted FROM bookings
          WHERE status = ${WAITLISTED} GROUP BY 1, 2
        ) line USING (conference_id, block) WHERE waiting IS DISTINCT FROM counted`,
    },
    {
      name: 'no ticket in a line is above the last one given',
      sql: `SELECT conference_id, name, last_ticket, max_ticket FROM (${SEATS}) seats WHERE max_ticket > last_ticket`,
    },
    {
      name: 'one active booking per user and conference',
      sql: `SELECT user_id, conference_id, count(*) AS bookings, min(booking_id) AS first, max(booking_id) AS last
        FROM ${BOOKINGS} WHERE status <> ${CANCELED} GROUP BY user_id, conference_id HAVING count(*) > 1`,
    },
    {
      // The conference's own times, not what the booking keeps of them.
      name: 'no user has two active bookings that overlap',
      sql: `SELECT user_id, booking_id, conference_id, starts_at, busy_until FROM (
          SELECT user_id, booking_id, conference_id, starts_at, max(ends_at) OVER (PARTITION BY user_id
            ORDER BY starts_at, booking_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy_until
          FROM ${BOOKINGS} JOIN conferences USING (conference_id) WHERE status <> ${CANCELED}
        ) booked WHERE starts_at < busy_until`,
    },
    {
      name: `nothing waits or is offered ${grace} after a start`,
      sql: `SELECT booking_id, user_id, conference_id, status, starts_at FROM bookings JOIN conferences USING (conference_id)
        WHERE status IN (${WAITLISTED}, ${PENDING}) AND starts_at <= ${overdueSince}`,
    },
    {
      name: `no offer is overdue ${grace}`,
      sql: `SELECT booking_id, user_id, conference_id, confirmation_deadline FROM bookings
        WHERE status = ${PENDING} AND confirmation_deadline <= ${overdueSince}`,
    },
    {
      name: 'no deadline is later than the start',
      sql: `SELECT booking_id, user_id, conference_id, confirmation_deadline, starts_at
        FROM bookings JOIN conferences USING (conference_id)
        WHERE status = ${PENDING} AND confirmation_deadline > starts_at`,
    },
    {
      name: 'every booking has the times of its conference',
      sql: `SELECT booking_id, conference_id, during, starts_at, ends_at FROM ${BOOKINGS} JOIN conferences USING (conference_id)
        WHERE during <> tstzrange(starts_at, ends_at, '[)')`,
    },
    {
      name: 'every transition is a legal one and follows from the one before it',
      sql: `SELECT booking_id, transition_id, came_from, from_status, to_status, reason FROM (
          SELECT *, lag(to_status) OVER (PARTITION BY booking_id ORDER BY transition_id) AS came_from
          FROM ${TRANSITIONS}
        ) chain WHERE from_status IS DISTINCT FROM came_from
          OR (coalesce(from_status::text, ''), to_status::text, reason) NOT IN (${legalTriples()})`,
    },
    {
      name: 'every booking has transitions, and the last one led to its status',
      sql: `SELECT booking_id, user_id, conference_id, status, last_transition FROM ${BOOKINGS} LEFT JOIN (
          SELECT DISTINCT ON (booking_id) booking_id, to_status AS last_transition
          FROM ${TRANSITIONS} ORDER BY booking_id, transition_id DESC
        ) latest USING (booking_id) WHERE status IS DISTINCT FROM last_transition`,
    },
  ];
}

function legalTriples(): string {
  return LEGAL_TRANSITIONS.map((triple) => `(${triple.map((word) => `'${word ?? ''}'`).join(', ')})`).join(', ');
}

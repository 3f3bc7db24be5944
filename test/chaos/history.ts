import type { Query } from '../../src/cli/audit/audit-database.js';
import type { BookingStatus, TransitionReason } from '../../src/seating/model.js';

/** A row of booking_transitions, with what it belongs to. Times are ms since 1970 by the database's clock. */
export interface Step {
  transitionId: number;
  bookingId: number;
  userId: string;
  conference: string;
  totalSlots: number;
  startsAt: number;
  from: BookingStatus | null;
  to: BookingStatus;
  reason: TransitionReason;
  at: number;
}

const MS = (column: string): string => `floor(extract(epoch FROM ${column}) * 1000)::float8`;

/**
 * All of it, in order: numbers are given while the conference is locked, so within a conference their order is the order
 * in which it was decided.
 */
export async function readHistory(query: Query): Promise<Step[]> {
  const rows = await query(`
    SELECT transition_id::float8 AS "transitionId", booking_id::float8 AS "bookingId", user_id AS "userId",
      name AS conference, total_slots AS "totalSlots", ${MS('starts_at')} AS "startsAt", from_status AS "from",
      to_status AS "to", reason, ${MS('at')} AS at
    FROM booking_transitions JOIN bookings USING (booking_id) JOIN conferences USING (conference_id)
    ORDER BY transition_id`);
  return rows as unknown as Step[];
}

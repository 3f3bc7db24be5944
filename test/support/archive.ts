import type { Backstage } from './seating.js';

interface Size {
  bookings: number;
  transitions: number;
}

/** Every booking and transition there is, wherever it is, as text and in order; and how many are where. */
export interface ArchivedState {
  rows: string[];
  live: Size;
  archived: Size;
}

const BOOKING = 'booking_id, conference_id, user_id, status, during, missed_offers, created_at, canceled_at';
const TRANSITION = 'transition_id, booking_id, from_status, to_status, reason, cause_booking_id, at';

/** What the live tables and the archive hold together, of all conferences or only of those with these names. */
export async function archivedState(backstage: Backstage, names: string[] | null = null): Promise<ArchivedState> {
  // One statement, and so one moment.
  const [state] = await backstage.query<{ rows: string[] | null; counts: number[] }>(
    `WITH chosen AS (SELECT conference_id FROM conferences WHERE $1::text[] IS NULL OR name = ANY($1)),
     b AS (SELECT true AS live, ${BOOKING} FROM bookings UNION ALL SELECT false, ${BOOKING} FROM archived_bookings),
     t AS (SELECT true AS live, ${TRANSITION} FROM booking_transitions
       UNION ALL SELECT false, ${TRANSITION} FROM archived_transitions),
     found AS (
       SELECT live, 'b' AS kind, ROW(${BOOKING})::text AS line FROM b JOIN chosen USING (conference_id)
       UNION ALL
       SELECT t.live, 't', ROW(t.transition_id, t.booking_id, t.from_status, t.to_status, t.reason, t.cause_booking_id, t.at)::text
       FROM t JOIN b USING (booking_id) JOIN chosen USING (conference_id)
     )
     SELECT array_agg(kind || line ORDER BY kind, line) AS rows, ARRAY[
       count(*) FILTER (WHERE live AND kind = 'b'), count(*) FILTER (WHERE live AND kind = 't'),
       count(*) FILTER (WHERE NOT live AND kind = 'b'), count(*) FILTER (WHERE NOT live AND kind = 't')]::int[] AS counts
     FROM found`,
    [names],
  );
  const [bookings = 0, transitions = 0, archivedBookings = 0, archivedTransitions = 0] = state?.counts ?? [];
  return {
    rows: state?.rows ?? [],
    live: { bookings, transitions },
    archived: { bookings: archivedBookings, transitions: archivedTransitions },
  };
}

/** As if a conference had ended so many days ago. */
export async function passInto(backstage: Backstage, conferenceId: number, endedDaysAgo: number): Promise<void> {
  await backstage.query(
    `WITH moved AS (
       UPDATE conferences SET ends_at = now() - make_interval(days => $2),
         starts_at = now() - make_interval(days => $2) - (ends_at - starts_at)
       WHERE conference_id = $1 RETURNING *
     )
     UPDATE bookings b SET during = tstzrange(starts_at, ends_at) FROM moved WHERE b.conference_id = moved.conference_id`,
    [conferenceId, endedDaysAgo],
  );
}

import type { DataSource } from 'typeorm';

/** At most so many bookings, or transitions, in memory at once. */
const BOOKINGS = 200;
const TRANSITIONS = 1_000;

/** Which of the archive: conferences that ended before this day, `YYYY-MM-DD` in UTC; null: all of it. */
export type Before = string | null;

/** Takes lines of text, and resolves when they have been handed on: what was written may then be deleted. */
export type Write = (lines: string[]) => Promise<void>;

export interface Exported {
  bookings: number;
  transitions: number;
}

// Only of conferences that are in the archive as a whole.
const SOME_BOOKINGS = `
  SELECT 'booking' AS kind, a.booking_id::float8 AS booking_id, c.name AS conference, lower(a.during) AS start,
    upper(a.during) AS "end", a.user_id, a.status, a.missed_offers, a.created_at, a.canceled_at
  FROM archived_bookings a JOIN conferences c USING (conference_id)
  WHERE a.booking_id > $1 AND c.archived_at IS NOT NULL
    AND ($2::date IS NULL OR c.ends_at < $2::date::timestamp AT TIME ZONE 'UTC')
  ORDER BY a.booking_id LIMIT ${BOOKINGS}`;

const SOME_TRANSITIONS = `
  SELECT 'transition' AS kind, booking_id::float8 AS booking_id, transition_id::float8 AS transition_id,
    from_status, to_status, reason, cause_booking_id::float8 AS cause_booking_id, organizer_id, at
  FROM archived_transitions WHERE booking_id = ANY($1::bigint[]) AND (booking_id, transition_id) > ($2, $3)
  ORDER BY booking_id, transition_id LIMIT ${TRANSITIONS}`;

const DELETE_TRANSITIONS = 'DELETE FROM archived_transitions WHERE booking_id = ANY($1::bigint[])';
// What is counted is what was deleted here: two exports at once count nothing twice.
const DELETE_BOOKINGS = `
  WITH gone AS (
    DELETE FROM archived_bookings WHERE booking_id = ANY($1::bigint[]) RETURNING conference_id, status
  )
  UPDATE conferences c SET exported_confirmed = exported_confirmed + counted.confirmed
  FROM (SELECT conference_id, count(*) AS confirmed FROM gone WHERE status = 'CONFIRMED' GROUP BY conference_id) counted
  WHERE c.conference_id = counted.conference_id`;

interface BookingLine {
  booking_id: number;
}

interface TransitionLine extends BookingLine {
  transition_id: number;
}

/**
 * Writes the archive as lines of JSON, page by page: some bookings, and then all their transitions.
 * @param isDeleting whether each page is deleted from the archive, in one transaction, once it has been written
 */
export async function exportArchive(
  dataSource: DataSource,
  { before, isDeleting, write }: { before: Before; isDeleting: boolean; write: Write },
): Promise<Exported> {
  const exported: Exported = { bookings: 0, transitions: 0 };
  for (let last = 0; ;) {
    const bookings = await dataSource.query<BookingLine[]>(SOME_BOOKINGS, [last, before]);
    if (bookings.length === 0) return exported;
    const ids = bookings.map(({ booking_id }) => booking_id);
    last = ids.at(-1) ?? last;
    await write(bookings.map((line) => JSON.stringify(line)));
    exported.bookings += bookings.length;
    exported.transitions += await exportTransitions(dataSource, ids, write);
    if (isDeleting) await deletePage(dataSource, ids);
  }
}

async function exportTransitions(dataSource: DataSource, bookingIds: number[], write: Write): Promise<number> {
  let [count, lastBooking, lastTransition] = [0, 0, 0];
  for (;;) {
    const parameters = [bookingIds, lastBooking, lastTransition];
    const lines = await dataSource.query<TransitionLine[]>(SOME_TRANSITIONS, parameters);
    const end = lines.at(-1);
    if (end === undefined) return count;
    [lastBooking, lastTransition] = [end.booking_id, end.transition_id];
    await write(lines.map((line) => JSON.stringify(line)));
    count += lines.length;
  }
}

function deletePage(dataSource: DataSource, bookingIds: number[]): Promise<void> {
  return dataSource.transaction(async (manager) => {
    // One booking may have been offered a slot a hundred thousand times.
    await manager.query('SET LOCAL statement_timeout = 0');
    await manager.query(DELETE_TRANSITIONS, [bookingIds]);
    await manager.query(DELETE_BOOKINGS, [bookingIds]);
  });
}

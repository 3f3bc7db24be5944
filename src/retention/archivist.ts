import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';

/** At most so many bookings, and so many of their transitions, in one transaction. */
const BOOKINGS = 100;
const TRANSITIONS = 500;

/** One that ended more than $1 days ago and whose line is closed; locked as the box office locks it, and never waited for. */
const NEXT_CONFERENCE = `
  SELECT conference_id FROM conferences
  WHERE archived_at IS NULL AND waitlist_closed_at IS NOT NULL AND ends_at < now() - make_interval(days => $1)
  ORDER BY ends_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`;

const FIRST_BOOKINGS = `SELECT booking_id FROM bookings WHERE conference_id = $1 ORDER BY booking_id LIMIT ${BOOKINGS}`;

const MOVE_TRANSITIONS = `
  WITH moved AS (
    DELETE FROM booking_transitions WHERE transition_id IN (
      SELECT transition_id FROM booking_transitions WHERE booking_id = ANY($1::bigint[])
      ORDER BY booking_id, transition_id LIMIT ${TRANSITIONS})
    RETURNING transition_id, booking_id, from_status, to_status, reason, cause_booking_id, organizer_id, at
  ), written AS (
    INSERT INTO archived_transitions (transition_id, booking_id, from_status, to_status, reason, cause_booking_id,
      organizer_id, at)
    SELECT * FROM moved RETURNING 1
  )
  SELECT count(*)::int AS count FROM written`;

const MOVE_BOOKINGS = `
  WITH moved AS (
    DELETE FROM bookings WHERE booking_id = ANY($1::bigint[])
    RETURNING booking_id, conference_id, user_id, status, during, missed_offers, created_at, canceled_at
  )
  INSERT INTO archived_bookings (booking_id, conference_id, user_id, status, during, missed_offers, created_at, canceled_at)
  SELECT * FROM moved`;

const CLOSE_CONFERENCE = `UPDATE conferences SET archived_at = now() WHERE conference_id = $1`;

/** Moves what is long over into the archive, a few hundred rows at a time. */
@Injectable()
export class Archivist {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /**
   * One transaction: some bookings and transitions of one conference that ended more than so many days ago. Several
   * archivists work side by side: each has a conference of its own.
   * @returns whether there was any; a conference that somebody else has locked is left for another time
   */
  moveSome(days: number): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const [conference] = await manager.query<{ conference_id: number }[]>(NEXT_CONFERENCE, [days]);
      if (conference === undefined) return false;
      const rows = await manager.query<{ booking_id: string }[]>(FIRST_BOOKINGS, [conference.conference_id]);
      const bookingIds = rows.map(({ booking_id }) => booking_id);
      const [moved] = await manager.query<[{ count: number }]>(MOVE_TRANSITIONS, [bookingIds]);
      // A booking goes when the last of its transitions has gone.
      if (moved.count === TRANSITIONS) return true;
      await manager.query(MOVE_BOOKINGS, [bookingIds]);
      if (bookingIds.length < BOOKINGS) await manager.query(CLOSE_CONFERENCE, [conference.conference_id]);
      return true;
    });
  }
}

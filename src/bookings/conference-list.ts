import { Readable } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import type { Cause } from '../common/cause.js';
import { isPlainText } from '../common/text.js';
import { Conference } from '../conferences/conference.entity.js';
import { conferenceNotFound } from '../conferences/conferences.service.js';
import { Booking } from '../seating/booking.entity.js';
import { blockOf, firstOf } from '../seating/line-rank.js';

/** So many bookings of a list without a limit are read, and held in memory, at a time. */
const PAGE = 500;

const FIELDS = 'booking_id, user_id, status, created_at, canceled_at';

// Bounds that name the index's columns as rows: told apart, they look so selective where statistics are missing or old that
// everything that is left is fetched and sorted for each page. One more than asked for tells whether another page follows.
const NEXT = `WHERE (conference_id, booking_id) >= ($1::int, $2::bigint + 1)
    AND (conference_id, booking_id) <= ($1::int, ${Number.MAX_SAFE_INTEGER})
    ORDER BY conference_id, booking_id LIMIT $3::int + 1`;

const instant = (time: string): string =>
  `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${time}`;

/**
 * The bookings of conference $1 with numbers above $2, live or archived, the first $3 by their numbers, as text. What is
 * being moved meanwhile is seen once, as it is one statement. Ranks are counted in the blocks that the page touches, each
 * read once.
 *
 * The database writes the JSON: of rows, 3 MB of objects for each page of 500 outlived their use, and memory grew.
 */
const PAGE_OF_CONFERENCE = `
  WITH found AS MATERIALIZED (
    (SELECT ${FIELDS}, confirmation_deadline, queue_ticket FROM bookings ${NEXT})
    UNION ALL
    (SELECT ${FIELDS}, NULL, NULL FROM archived_bookings ${NEXT})
    ORDER BY booking_id LIMIT $3::int + 1
  ), page AS MATERIALIZED (
    SELECT * FROM found ORDER BY booking_id LIMIT $3
  ), touched AS (
    SELECT DISTINCT ${blockOf('queue_ticket')} AS block FROM page WHERE status = 'WAITLISTED'
  ), fronts AS MATERIALIZED (
    SELECT block, (SELECT coalesce(sum(waiting), 0) FROM line_blocks l
      WHERE l.conference_id = $1 AND l.block < touched.block) AS waiting FROM touched
  ), ranked AS (
    SELECT own.queue_ticket, fronts.waiting + own.place AS rank
    FROM fronts CROSS JOIN LATERAL (
      SELECT queue_ticket, row_number() OVER (ORDER BY queue_ticket) AS place FROM bookings
      WHERE conference_id = $1 AND status = 'WAITLISTED'
        AND queue_ticket >= ${firstOf('fronts.block')} AND queue_ticket < ${firstOf('(fronts.block + 1)')}
    ) own
  ), listed AS (
    SELECT booking_id, user_id, status, ${instant('created_at')}, rank AS waitlist_position,
      coalesce(status = 'ConfirmationPending' AND clock_timestamp() < confirmation_deadline, false) AS can_confirm,
      ${instant('confirmation_deadline')}, ${instant('canceled_at')}
    FROM page LEFT JOIN ranked ON status = 'WAITLISTED' AND ranked.queue_ticket = page.queue_ticket
  )
  SELECT coalesce(string_agg(row_to_json(listed)::text, ',' ORDER BY booking_id), '') AS text, max(booking_id) AS last,
    (SELECT count(*) FROM found) > $3 AS is_more
  FROM listed`;

interface PageRow {
  text: string;
  last: string | null;
  is_more: boolean;
}

/** Some bookings in a row. */
export interface Page {
  /** As JSON, with commas between them and without brackets around them. */
  text: string;
  /** The number after which the next page begins; null: this is the last one. */
  next: number | null;
}

/** The bookings of a conference, oldest first: their numbers are given while it is locked, in the order of arrival. */
@Injectable()
export class ConferenceList {
  private readonly logger = new Logger(ConferenceList.name);

  constructor(
    @InjectRepository(Booking) private readonly bookings: Repository<Booking>,
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
  ) {}

  /**
   * At most so many bookings with numbers above `after`.
   * @throws AppError `CONFERENCE_NOT_FOUND`
   */
  async page(name: string, after: number, limit: number): Promise<Page> {
    return this.read(await this.find(name), after, limit);
  }

  /**
   * All bookings with numbers above `after`, as the text of a JSON array. It is read page by page, and only as fast as
   * somebody takes it: in between nothing of the database is held, so each page is of its own moment. A failure on the way
   * ends the stream with an error, and is logged.
   * @throws AppError `CONFERENCE_NOT_FOUND`, and whatever fails before the first page is there
   */
  async stream(name: string, after: number, cause: Cause): Promise<Readable> {
    const conferenceId = await this.find(name);
    const first = await this.read(conferenceId, after, PAGE);
    return Readable.from(this.write(conferenceId, first, cause), { objectMode: false });
  }

  private async *write(conferenceId: number, first: Page, cause: Cause): AsyncGenerator<string> {
    yield '[';
    let page = first;
    if (page.text !== '') yield page.text;
    // The next one is read when what was there has been taken, and not before.
    while (page.next !== null) {
      page = await this.readNext(conferenceId, page.next, cause);
      if (page.text !== '') yield `,${page.text}`;
    }
    yield ']';
  }

  private async readNext(conferenceId: number, after: number, cause: Cause): Promise<Page> {
    try {
      return await this.read(conferenceId, after, PAGE);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.error(`A list of bookings breaks off after booking ${after}: ${reason}`, cause);
      throw error;
    }
  }

  private async find(name: string): Promise<number> {
    const conference = isPlainText(name) ? await this.conferences.findOneBy({ name }) : null;
    if (conference === null) throw conferenceNotFound();
    return conference.conferenceId;
  }

  private async read(conferenceId: number, after: number, limit: number): Promise<Page> {
    const [row] = await this.bookings.query<[PageRow]>(PAGE_OF_CONFERENCE, [conferenceId, after, limit]);
    const { text } = row;
    // The rows of one query of TypeORM's keep those of the next from being freed until all garbage is collected: left in
    // them, the text of every page would pile up until then.
    row.text = '';
    return { text, next: row.is_more ? Number(row.last) : null };
  }
}

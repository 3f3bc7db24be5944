import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AppError } from '../common/app-error.js';
import type { Cause } from '../common/cause.js';
import { isPlainText } from '../common/text.js';
import { violatedConstraint } from '../database/failures.js';
import { prepared } from '../database/prepared.js';
import { TimerPublisher } from '../messaging/timer-publisher.js';
import { CONFERENCE_STARTS } from '../messaging/timers.js';
import type { ConferenceDto } from './conference.dto.js';
import { Conference } from './conference.entity.js';

const LONGEST_MS = 12 * 60 * 60 * 1_000;

/** What an organizer publishes. Times are milliseconds since 1970. */
export interface NewConference {
  name: string;
  location: string;
  startsAt: number;
  endsAt: number;
  slots: number;
  topics: string[];
}

// The database's clock says what is in the future, and what is past is not written.
const ADD_CONFERENCE = `
  WITH added AS (
    INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
    SELECT $1, $2, $3::timestamptz, $4::timestamptz, $5::int, $5::int WHERE $3::timestamptz > clock_timestamp()
    RETURNING conference_id
  ), topics AS (
    INSERT INTO conference_topics (conference_id, topic) SELECT conference_id, unnest($6::text[]) FROM added
  )
  SELECT conference_id, floor(extract(epoch FROM clock_timestamp()) * 1000) AS now FROM added`;

const CONFERENCE = `c.name, c.location, c.starts_at, c.ends_at, c.total_slots, c.available_slots, c.held_slots, c.waitlisted,
  ARRAY(SELECT t.topic FROM conference_topics t WHERE t.conference_id = c.conference_id ORDER BY t.topic) AS topics`;

const CONFERENCE_BY_NAME = `SELECT ${CONFERENCE} FROM conferences c WHERE c.name = $1`;

const UPCOMING = `
  SELECT ${CONFERENCE} FROM conferences c
  WHERE c.starts_at > clock_timestamp()
    AND ($1::text IS NULL OR EXISTS (SELECT 1 FROM conference_topics t WHERE t.topic = $1 AND t.conference_id = c.conference_id))
    AND ($2::timestamptz IS NULL OR (c.starts_at, c.name) > ($2, $3::text))
  ORDER BY c.starts_at, c.name LIMIT $4`;

interface AddedRow {
  conference_id: number;
  now: string;
}

interface ConferenceRow extends Omit<ConferenceDto, 'start' | 'end'> {
  starts_at: Date;
  ends_at: Date;
}

@Injectable()
export class ConferencesService {
  constructor(
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
    private readonly timers: TimerPublisher,
  ) {}

  /**
   * Publishes a conference, and sets the timer of its start, which bears its cause.
   * @throws AppError `VALIDATION_FAILED` where its times cannot be, `CONFERENCE_EXISTS` where its name is taken
   */
  async add(conference: NewConference, cause: Cause): Promise<ConferenceDto> {
    const { name, location, startsAt, endsAt, slots, topics } = conference;
    if (endsAt <= startsAt) throw wrongTime('end', 'end must be after start');
    if (endsAt - startsAt > LONGEST_MS) throw wrongTime('end', 'end must be at most 12 hours after start');
    const [added] = await this.insert(conference);
    if (added === undefined) throw wrongTime('start', 'start must be in the future');
    this.timers.schedule(
      [{ pattern: CONFERENCE_STARTS, conferenceId: added.conference_id, dueAt: startsAt, cause }],
      Number(added.now),
    );
    return {
      name,
      location,
      start: new Date(startsAt).toISOString(),
      end: new Date(endsAt).toISOString(),
      topics: [...topics].sort(),
      total_slots: slots,
      available_slots: slots,
      held_slots: 0,
      waitlisted: 0,
    };
  }

  /** A conference, also after its start. @throws AppError `CONFERENCE_NOT_FOUND` */
  async get(name: string): Promise<ConferenceDto> {
    if (isPlainText(name)) {
      const [row] = await prepared<ConferenceRow>(this.conferences.manager, CONFERENCE_BY_NAME, [name]);
      if (row !== undefined) return conferenceDto(row);
    }
    throw conferenceNotFound();
  }

  /**
   * The conferences that have not started, soonest first.
   * @param after the name of the last one of the page before
   * @param limit 1–101
   * @throws AppError `CONFERENCE_NOT_FOUND` where there is none of the name `after`
   */
  async listUpcoming(topic: string | null, after: string | null, limit: number): Promise<ConferenceDto[]> {
    const last = after === null ? null : await this.conferences.findOneBy({ name: after });
    if (after !== null && last === null) {
      throw new AppError('invalid', 'CONFERENCE_NOT_FOUND', 'after must be the name of a conference that exists', {
        field: 'after',
      });
    }
    const rows = await this.conferences.query<ConferenceRow[]>(UPCOMING, [topic, last?.startsAt ?? null, after, limit]);
    return rows.map(conferenceDto);
  }

  private async insert(conference: NewConference): Promise<AddedRow[]> {
    const { name, location, startsAt, endsAt, slots, topics } = conference;
    const times = [startsAt, endsAt].map((instant) => new Date(instant).toISOString());
    try {
      return await prepared<AddedRow>(this.conferences.manager, ADD_CONFERENCE, [
        name,
        location,
        ...times,
        slots,
        topics,
      ]);
    } catch (error) {
      if (violatedConstraint(error) !== 'conferences_name_key') throw error;
      throw new AppError('invalid', 'CONFERENCE_EXISTS', 'conference already exists');
    }
  }
}

export function conferenceNotFound(): AppError {
  return new AppError('not_found', 'CONFERENCE_NOT_FOUND', 'Conference not found: check its name');
}

function wrongTime(field: 'start' | 'end', message: string): AppError {
  return new AppError('invalid', 'VALIDATION_FAILED', message, { field, errors: [{ field, message }] });
}

function conferenceDto({ starts_at, ends_at, ...row }: ConferenceRow): ConferenceDto {
  return {
    name: row.name,
    location: row.location,
    start: starts_at.toISOString(),
    end: ends_at.toISOString(),
    topics: row.topics,
    total_slots: row.total_slots,
    available_slots: row.available_slots,
    held_slots: row.held_slots,
    waitlisted: row.waitlisted,
  };
}

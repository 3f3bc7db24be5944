import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { type Caller, maySee } from '../access/caller.js';
import { AppError } from '../common/app-error.js';
import type { Cause } from '../common/cause.js';
import { prepared } from '../database/prepared.js';
import { Together } from '../database/together.js';
import { Booking } from '../seating/booking.entity.js';
import { BoxOffice } from '../seating/box-office.js';
import { RANK } from '../seating/line-rank.js';
import type { BookingStatus, RequestCommand, TransitionReason } from '../seating/model.js';
import { REFUSALS } from '../seating/refusals.js';
import { UsersService } from '../users/users.service.js';
import { answerTo, fingerprintOf, type SentAnswer } from './answers.js';
import type { BookingDto, TransitionDto } from './booking.dto.js';
import { tellHistory } from './history.js';

const FIELDS = `b.booking_id, b.user_id, b.status, b.confirmation_deadline,
  b.status = 'ConfirmationPending' AND clock_timestamp() < b.confirmation_deadline AS can_confirm`;

const ONE = `SELECT ${FIELDS}, c.name AS conference_name,
    CASE b.status WHEN 'WAITLISTED' THEN ${RANK} END AS waitlist_position
  FROM bookings b JOIN conferences c USING (conference_id)`;

const ARCHIVED = `SELECT a.booking_id, a.user_id, a.status, NULL::timestamptz AS confirmation_deadline, false AS can_confirm`;

const ARCHIVED_ONE = `${ARCHIVED}, c.name AS conference_name, NULL::bigint AS waitlist_position
  FROM archived_bookings a JOIN conferences c USING (conference_id)`;

// Live or archived, in one statement: what is being moved meanwhile is seen once.
const BOOKINGS = `${ONE} WHERE b.booking_id = ANY($1::bigint[]) UNION ALL ${ARCHIVED_ONE} WHERE a.booking_id = ANY($1::bigint[])`;
const BOOKINGS_OF_USER = `${ONE} WHERE b.user_id = $1 UNION ALL ${ARCHIVED_ONE} WHERE a.user_id = $1 ORDER BY booking_id`;

// The cause's own step comes right before the offer that it led to, in the same transaction.
const STEP = 'transition_id, from_status, to_status, reason, cause_booking_id, organizer_id, at';
const STEPS = `
  WITH steps AS (
    SELECT ${STEP} FROM booking_transitions WHERE booking_id = $1
    UNION ALL SELECT ${STEP} FROM archived_transitions WHERE booking_id = $1
  )
  SELECT from_status, to_status, reason, cause_booking_id, organizer_id, at, (
    SELECT cause.reason FROM (
      SELECT transition_id, reason FROM booking_transitions b WHERE b.booking_id = steps.cause_booking_id AND b.at = steps.at
      UNION ALL
      SELECT transition_id, reason FROM archived_transitions a WHERE a.booking_id = steps.cause_booking_id AND a.at = steps.at
    ) cause WHERE cause.transition_id < steps.transition_id ORDER BY cause.transition_id DESC LIMIT 1) AS cause_reason
  FROM steps ORDER BY transition_id`;

interface StepRow {
  from_status: BookingStatus | null;
  to_status: BookingStatus;
  reason: TransitionReason;
  cause_booking_id: string | null;
  cause_reason: TransitionReason | null;
  organizer_id: string | null;
  at: Date;
}

/** At most so many look-ups in one statement. */
const BATCH = 64;

interface BookingRow {
  booking_id: string;
  user_id: string;
  status: BookingStatus;
  can_confirm: boolean;
  confirmation_deadline: Date | null;
  waitlist_position: string | null;
}

interface NamedBookingRow extends BookingRow {
  conference_name: string;
}

/** What attendees do with their bookings. Whatever changes a seat goes through the box office. */
@Injectable()
export class BookingsService {
  /** Looks up what is asked for while the statement before is run: a way to the database costs more than what it finds. */
  private readonly lookUps = new Together((bookingIds: number[]) => this.find(bookingIds), BATCH);

  constructor(
    private readonly boxOffice: BoxOffice,
    private readonly users: UsersService,
    @InjectRepository(Booking) private readonly bookings: Repository<Booking>,
  ) {}

  /**
   * Has the box office carry out what a person asks for; with a key, once, however often it is asked.
   * @throws AppError with the reason where it is refused; with a key a refusal is an answer, that is kept like any other
   */
  async carryOut(command: RequestCommand, key: string | null, caller: Caller, cause: Cause): Promise<SentAnswer> {
    if (key === null) return { ...answerTo(await this.boxOffice.ask(command, null, cause)), isReplay: false };
    const fingerprint = fingerprintOf(command);
    // Nobody can come upon a key of somebody else.
    const route = 'userId' in caller ? `${command.kind}:${caller.userId}` : command.kind;
    const { answer, isReplay } = await this.boxOffice.ask(command, { route, key, fingerprint, answerTo }, cause);
    return { ...answer, isReplay };
  }

  /** @throws AppError `BOOKING_NOT_FOUND`, also where it is another's and the caller may not see it */
  async get(bookingId: number, caller: Caller): Promise<BookingDto> {
    const found = await this.lookUps.ask(bookingId);
    if (found === null || !maySee(caller, found.user_id)) throw bookingNotFound();
    return bookingDto(found);
  }

  /** What has happened to a booking and why, oldest first. @throws AppError as {@link get} */
  async history(bookingId: number, caller: Caller): Promise<TransitionDto[]> {
    await this.get(bookingId, caller);
    const rows = await this.bookings.query<StepRow[]>(STEPS, [bookingId]);
    // Each has one for its beginning; it may have been deleted a moment ago.
    if (rows.length === 0) throw bookingNotFound();
    const steps = rows.map(({ reason, at, cause_booking_id: id, cause_reason: why, organizer_id }) => ({
      reason,
      at,
      organizerId: organizer_id,
      cause: id === null ? null : { bookingId: Number(id), reason: why },
    }));
    const messages = tellHistory(bookingId, steps);
    return rows.map(({ from_status, to_status, reason, cause_booking_id: id, organizer_id, at }, index) => ({
      at: at.toISOString(),
      from_status,
      to_status,
      reason,
      cause_booking_id: id === null ? null : Number(id),
      organizer_id,
      message: messages[index] ?? '',
    }));
  }

  /** A user's bookings, oldest first. @throws AppError `USER_NOT_FOUND` */
  async listOfUser(userId: string): Promise<BookingDto[]> {
    await this.users.getExisting(userId);
    const rows = await this.bookings.query<NamedBookingRow[]>(BOOKINGS_OF_USER, [userId]);
    return rows.map(bookingDto);
  }

  private async find(bookingIds: number[]): Promise<(NamedBookingRow | null)[]> {
    const rows = await prepared<NamedBookingRow>(this.bookings.manager, BOOKINGS, [bookingIds]);
    const found = new Map(rows.map((row) => [Number(row.booking_id), row]));
    return bookingIds.map((bookingId) => found.get(bookingId) ?? null);
  }
}

function bookingNotFound(): AppError {
  const { kind, code, message } = REFUSALS.bookingNotFound;
  return new AppError(kind, code, message);
}

function bookingDto(row: NamedBookingRow): BookingDto {
  return {
    booking_id: Number(row.booking_id),
    status: row.status,
    conference_name: row.conference_name,
    can_confirm: row.can_confirm,
    confirmation_deadline: row.confirmation_deadline?.toISOString() ?? null,
    waitlist_position: row.waitlist_position === null ? null : Number(row.waitlist_position),
  };
}

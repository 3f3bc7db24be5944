import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { prepared } from '../database/prepared.js';
import { Together } from '../database/together.js';
import { Booking } from '../seating/booking.entity.js';
import { BoxOffice } from '../seating/box-office.js';
import { RANK } from '../seating/line-rank.js';
import type { BookingStatus, RequestCommand } from '../seating/model.js';
import { REFUSALS } from '../seating/refusals.js';
import { UsersService } from '../users/users.service.js';
import { answerTo, fingerprintOf, type SentAnswer } from './answers.js';
import type { BookingDto } from './booking.dto.js';

const FIELDS = `b.booking_id, b.status, b.confirmation_deadline,
  b.status = 'ConfirmationPending' AND clock_timestamp() < b.confirmation_deadline AS can_confirm`;

const ONE = `SELECT ${FIELDS}, c.name AS conference_name,
    CASE b.status WHEN 'WAITLISTED' THEN ${RANK} END AS waitlist_position
  FROM bookings b JOIN conferences c USING (conference_id)`;

const ARCHIVED = `SELECT a.booking_id, a.status, NULL::timestamptz AS confirmation_deadline, false AS can_confirm`;

const ARCHIVED_ONE = `${ARCHIVED}, c.name AS conference_name, NULL::bigint AS waitlist_position
  FROM archived_bookings a JOIN conferences c USING (conference_id)`;

// Live or archived, in one statement: what is being moved meanwhile is seen once.
const BOOKINGS = `${ONE} WHERE b.booking_id = ANY($1::bigint[]) UNION ALL ${ARCHIVED_ONE} WHERE a.booking_id = ANY($1::bigint[])`;
const BOOKINGS_OF_USER = `${ONE} WHERE b.user_id = $1 UNION ALL ${ARCHIVED_ONE} WHERE a.user_id = $1 ORDER BY booking_id`;

/** At most so many look-ups in one statement. */
const BATCH = 64;

interface BookingRow {
  booking_id: string;
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
  async carryOut(command: RequestCommand, key: string | null): Promise<SentAnswer> {
    if (key === null) return { ...answerTo(await this.boxOffice.ask(command)), isReplay: false };
    const fingerprint = fingerprintOf(command);
    const { answer, isReplay } = await this.boxOffice.ask(command, { route: command.kind, key, fingerprint, answerTo });
    return { ...answer, isReplay };
  }

  /** @throws AppError `BOOKING_NOT_FOUND` */
  async get(bookingId: number): Promise<BookingDto> {
    const booking = await this.lookUps.ask(bookingId);
    if (booking === null) {
      const { kind, code, message } = REFUSALS.bookingNotFound;
      throw new AppError(kind, code, message);
    }
    return booking;
  }

  /** A user's bookings, oldest first. @throws AppError `USER_NOT_FOUND` */
  async listOfUser(userId: string): Promise<BookingDto[]> {
    await this.users.getExisting(userId);
    const rows = await this.bookings.query<NamedBookingRow[]>(BOOKINGS_OF_USER, [userId]);
    return rows.map(bookingDto);
  }

  private async find(bookingIds: number[]): Promise<(BookingDto | null)[]> {
    const rows = await prepared<NamedBookingRow>(this.bookings.manager, BOOKINGS, [bookingIds]);
    const found = new Map(rows.map((row) => [Number(row.booking_id), bookingDto(row)]));
    return bookingIds.map((bookingId) => found.get(bookingId) ?? null);
  }
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

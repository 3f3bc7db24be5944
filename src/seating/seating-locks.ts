import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type ObjectLiteral, Repository, type SelectQueryBuilder } from 'typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { type Statement, statement } from '../database/flights.js';
import { User } from '../users/user.entity.js';
import { type Command, type ConferenceSeats, isTimer } from './model.js';

/** A conference whose lock another transaction holds. */
export interface BusyConference {
  conferenceId: number;
  name: string;
}

/** What a command has to wait for; null: nothing. */
export type Obstacle = BusyConference | 'busy user' | null;

/** A conference's row, as its lock brings it. */
export interface ConferenceRow {
  conferenceId: number;
  name: string;
  startsAt: Date;
  endsAt: Date;
  totalSlots: number;
  availableSlots: number;
  heldSlots: number;
  waitlisted: number;
  lastTicket: string;
  waitlistClosedAt: Date | null;
}

const SEATS_OF_CONFERENCE = [
  'conferenceId',
  'name',
  'startsAt',
  'endsAt',
  'totalSlots',
  'availableSlots',
  'heldSlots',
  'waitlisted',
  'lastTicket',
  'waitlistClosedAt',
] as const satisfies readonly (keyof ConferenceRow)[];

/**
 * The locks of a batch: conferences first, then users. They are TypeORM's pessimistic locks, as statements that can be
 * sent together. They are in no order among themselves: whoever passes over what is locked waits for nobody.
 */
@Injectable()
export class SeatingLocks {
  private readonly texts = new Map<string, string>();

  constructor(
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
    @InjectRepository(User) private readonly users: Repository<User>,
  ) {}

  /** Locks a conference, and waits for whoever has it. Only before anything else is locked. */
  wait(conferenceId: number): Statement<unknown> {
    return this.statementOf('wait', { conferenceId }, () =>
      this.conferences
        .createQueryBuilder('conference')
        .select('conference.conferenceId')
        .setLock('for_no_key_update')
        .where('conference.conferenceId = :conferenceId'),
    );
  }

  /** Locks what is free of the conferences that these commands are about; the others, and those to pass over, are passed over. */
  lockConferences(commands: readonly Command[], passOver: readonly BusyConference[]): Statement<ConferenceRow> {
    const parameters = {
      ids: conferenceIdsOf(commands),
      names: conferenceNamesOf(commands),
      bookingIds: bookingIdsOf(commands),
      busyIds: passOver.map(({ conferenceId }) => conferenceId),
    };
    return this.statementOf('lockConferences', parameters, () => {
      const query = this.conferences.createQueryBuilder('conference').select([]);
      for (const column of SEATS_OF_CONFERENCE) query.addSelect(`conference.${column}`, column);
      return (
        query
          .setLock('for_no_key_update')
          .setOnLocked('skip_locked')
          // A booking's conference never changes: it may be read before anything is locked.
          .where(
            `(conference.conferenceId = ANY(:ids) OR conference.name = ANY(:names) OR conference.conferenceId = ANY(ARRAY(
              SELECT conference_id FROM bookings WHERE booking_id = ANY(:bookingIds))))`,
          )
          .andWhere('conference.conferenceId <> ALL(:busyIds)')
      );
    });
  }

  /** Those of these conferences that exist. */
  findConferences(ids: readonly number[], names: readonly string[]): Statement<BusyConference> | null {
    if (ids.length + names.length === 0) return null;
    return this.statementOf('findConferences', { ids, names }, () =>
      this.conferences
        .createQueryBuilder('conference')
        .select('conference.conferenceId', 'conferenceId')
        .addSelect('conference.name', 'name')
        .where('(conference.conferenceId = ANY(:ids) OR conference.name = ANY(:names))'),
    );
  }

  /** Locks what is free of these users; the others are passed over. */
  lockUsers(userIds: readonly string[]): Statement<UserRow> | null {
    if (userIds.length === 0) return null;
    return this.statementOf('lockUsers', { userIds }, () =>
      this.amongUsers().setLock('for_no_key_update').setOnLocked('skip_locked'),
    );
  }

  /** Those of these users who exist. */
  findUsers(userIds: readonly string[]): Statement<UserRow> | null {
    return userIds.length === 0 ? null : this.statementOf('findUsers', { userIds }, () => this.amongUsers());
  }

  private amongUsers(): SelectQueryBuilder<User> {
    return this.users.createQueryBuilder('user').select('user.userId', 'userId').where('user.userId = ANY(:userIds)');
  }

  /** A query's SQL is built once: it is the same for every batch, and building it takes longer than sending it. */
  private statementOf<Row, Entity extends ObjectLiteral = ObjectLiteral>(
    name: string,
    parameters: Record<string, unknown>,
    build: () => SelectQueryBuilder<Entity>,
  ): Statement<Row> {
    let text = this.texts.get(name);
    // Their order is that of their names in the SQL.
    const values = Object.values(parameters);
    if (text === undefined) {
      text = build().setParameters(parameters).getQueryAndParameters()[0];
      this.texts.set(name, text);
    }
    return statement<Row>(text, values);
  }
}

export interface UserRow {
  userId: string;
}

/** The bookings that these commands name. */
export function bookingIdsOf(commands: readonly Command[]): number[] {
  return commands.flatMap((command) => ('bookingId' in command ? [command.bookingId] : []));
}

/** The conferences that these commands book. */
export function conferenceNamesOf(commands: readonly Command[]): string[] {
  return [...new Set(commands.flatMap((command) => (command.kind === 'book' ? [command.conferenceName] : [])))];
}

/** The conferences that timers look at. */
export function conferenceIdsOf(commands: readonly Command[]): number[] {
  return [...new Set(commands.flatMap((command) => (isTimer(command) ? [command.conferenceId] : [])))];
}

export function seatsOf(row: ConferenceRow): ConferenceSeats {
  return {
    ...row,
    startsAt: row.startsAt.getTime(),
    endsAt: row.endsAt.getTime(),
    lastTicket: Number(row.lastTicket),
    waitlistClosedAt: row.waitlistClosedAt?.getTime() ?? null,
  };
}

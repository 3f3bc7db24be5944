import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { DataSource, type EntityManager, type QueryRunner, Repository, type SelectQueryBuilder } from 'typeorm';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { Conference } from '../conferences/conference.entity.js';
import { User } from '../users/user.entity.js';
import { isDatabaseAway } from '../database/failures.js';
import { Hall } from './hall.js';
import { type Answered, claimKeys, keepAnswers, lockKeys, type Order } from './idempotency.js';
import { type Command, type ConferenceSeats, type Instant, isTimer, type Outcome, type Seat } from './model.js';
import { decide, hasStarted } from './rules.js';
import { CommitFate } from './commit-fate.js';
import {
  BOOKINGS_BY_ID,
  CLOCK_AND_IDS,
  CONFERENCES_OF_BOOKINGS,
  FRONT_OF_LINES,
  LEFT_AT_START,
  OVERDUE_OFFERS,
  OVERLAPPING,
  UPDATE_BOOKINGS,
  WRITE_NEW,
  type SeatRow,
  seatFromRow,
} from './statements.js';

/** At most so many due rows are dealt with in one transaction, over all its conferences. */
const DUE_ROWS = 1_000;

/** A conference whose lock another transaction holds. */
export interface BusyConference {
  conferenceId: number;
  name: string;
}

export interface SeatingResult {
  /** In the order of the commands. What was not carried out has the conference, or else says that the user, is busy. */
  outcomes: (Outcome | Answered | BusyConference | 'busy user')[];
  /** The open offers that were made, by conference and deadline. */
  offers: { conferenceId: number; deadline: Instant }[];
  now: Instant;
}

export interface SeatingRequest {
  /** Wait for this conference's lock before anything is taken. Others that are busy are passed over all the same. */
  waitFor?: number;
  /** Whoever would be taken now: during the wait, their keys are in use. */
  ahead?: () => readonly Order[];
  /** Called when the transaction is ready for its commands. */
  take: () => readonly Order[];
  /** Conferences that are reported as busy without a try: another lane keeps their order of arrival. */
  passOver?: readonly BusyConference[];
}

/**
 * One transaction that carries out many commands: locks, loads, decides by the pure rules, writes, commits.
 * Nothing is waited for while a lock is held: a conference is waited for before anything else, and whatever else is busy
 * is passed over. So no two of these transactions can deadlock.
 */
@Injectable()
export class SeatingTransaction {
  private readonly fate: CommitFate;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
    @InjectRepository(User) private readonly users: Repository<User>,
    @Inject(ENVIRONMENT) private readonly environment: Environment,
  ) {
    this.fate = new CommitFate(dataSource);
  }

  /**
   * Carries the commands out, all in one transaction.
   * @throws whatever failed, when nothing was written; a COMMIT whose answer was lost is looked up first
   */
  async run(request: SeatingRequest): Promise<SeatingResult> {
    const runner = this.dataSource.createQueryRunner();
    try {
      await runner.connect();
      await runner.startTransaction();
      const result = await this.attend(runner.manager, request);
      await this.commit(runner, result.transactionId);
      return result;
    } catch (error) {
      if (isDatabaseAway(error)) await discard(runner);
      else if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => discard(runner));
      throw error;
    } finally {
      await runner.release();
    }
  }

  private async commit(runner: QueryRunner, transactionId: string): Promise<void> {
    try {
      await runner.commitTransaction();
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      // Its place in the pool is free before another connection is asked.
      await discard(runner);
      await runner.release();
      if ((await this.fate.of(transactionId)) !== 'committed') throw error;
    }
  }

  private async attend(
    manager: EntityManager,
    request: SeatingRequest,
  ): Promise<SeatingResult & { transactionId: string }> {
    if (request.waitFor !== undefined) {
      await lockKeys(manager, request.ahead?.() ?? []);
      await this.lockAndWait(manager, request.waitFor);
    }
    const orders = request.take();
    const claims = await claimKeys(manager, orders);
    const open = orders.filter((_, index) => claims[index] === null);
    const commands = open.map(({ command }) => command);
    const { outcomes, ...done } = await this.carryOut(manager, commands, request.passOver ?? []);
    return { ...done, outcomes: await keepAnswers(manager, orders, claims, outcomes) };
  }

  /** Carries out commands that nothing is known of yet. */
  private async carryOut(
    manager: EntityManager,
    commands: readonly Command[],
    passOver: readonly BusyConference[],
  ): Promise<{
    outcomes: (Outcome | BusyConference | 'busy user')[];
    offers: SeatingResult['offers'];
    now: Instant;
    transactionId: string;
  }> {
    const places = await this.locate(manager, commands, passOver);
    const users = await this.lockUsers(
      manager,
      commands.flatMap((command, index) => (command.kind === 'book' && !isBusy(places[index]) ? [command.userId] : [])),
    );
    const obstacles = commands.map((command, index): BusyConference | 'busy user' | null => {
      const place = places[index];
      if (isBusy(place)) return place;
      return command.kind === 'book' && users.busy.has(command.userId) ? 'busy user' : null;
    });
    const isAttended = (_: unknown, index: number): boolean => obstacles[index] === null;
    const attended = commands.filter(isAttended);
    const { hall, transactionId } = await this.load(manager, attended, places.filter(isAttended), users.locked);
    const decided = attended.map((command) => decide(hall, command));
    await this.write(manager, hall);

    let next = 0;
    return {
      outcomes: obstacles.map((obstacle) => obstacle ?? decided[next++] ?? 'busy user'),
      offers: offersMade(hall),
      now: hall.now,
      transactionId,
    };
  }

  private async lockAndWait(manager: EntityManager, conferenceId: number): Promise<void> {
    await manager.withRepository(this.conferences).findOne({
      select: { conferenceId: true },
      where: { conferenceId },
      lock: { mode: 'for_no_key_update' },
    });
  }

  /** Where each command belongs: a conference that is now locked, one that is busy, or none. */
  private async locate(
    manager: EntityManager,
    commands: readonly Command[],
    passOver: readonly BusyConference[],
  ): Promise<Place[]> {
    const bookingIds = commands.flatMap((command) => ('bookingId' in command ? [command.bookingId] : []));
    // A booking's conference and user never change: they may be read before anything is locked.
    const conferenceOf = new Map<number, number>();
    if (bookingIds.length > 0) {
      const rows = await manager.query<BelongingRow[]>(CONFERENCES_OF_BOOKINGS, [bookingIds]);
      for (const row of rows) conferenceOf.set(Number(row.booking_id), row.conference_id);
    }
    const names = new Set(commands.flatMap((command) => (command.kind === 'book' ? [command.conferenceName] : [])));
    const ids = new Set(commands.flatMap((command) => (isTimer(command) ? [command.conferenceId] : [])));
    for (const id of conferenceOf.values()) ids.add(id);

    const byId = new Map<number, Place>();
    const byName = new Map<string, Place>();
    const place = (found: Conference | (BusyConference & { busy: true })): void => {
      byId.set(found.conferenceId, found);
      byName.set(found.name, found);
    };
    const missing = (): [number[], string[]] => [
      [...ids].filter((id) => !byId.has(id)),
      [...names].filter((name) => !byName.has(name)),
    ];
    for (const { conferenceId, name } of passOver) place({ conferenceId, name, busy: true });
    for (const conference of await this.lockFree(manager, ...missing())) place(conference);
    for (const { conferenceId, name } of await this.find(manager, ...missing()))
      place({ conferenceId, name, busy: true });
    return commands.map((command) => {
      if (command.kind === 'book') return byName.get(command.conferenceName) ?? null;
      const conferenceId = isTimer(command) ? command.conferenceId : conferenceOf.get(command.bookingId);
      return conferenceId === undefined ? null : (byId.get(conferenceId) ?? null);
    });
  }

  /** Locks what is free of these conferences; the others are passed over. */
  private lockFree(manager: EntityManager, ids: number[], names: string[]): Promise<Conference[]> {
    if (ids.length + names.length === 0) return Promise.resolve([]);
    return manager
      .withRepository(this.conferences)
      .createQueryBuilder('conference')
      .setLock('for_no_key_update')
      .setOnLocked('skip_locked')
      .where('conference.conferenceId = ANY(:ids)', { ids })
      .orWhere('conference.name = ANY(:names)', { names })
      .orderBy('conference.conferenceId')
      .getMany();
  }

  private find(manager: EntityManager, ids: number[], names: string[]): Promise<Conference[]> {
    if (ids.length + names.length === 0) return Promise.resolve([]);
    return manager
      .withRepository(this.conferences)
      .createQueryBuilder('conference')
      .select(['conference.conferenceId', 'conference.name'])
      .where('conference.conferenceId = ANY(:ids)', { ids })
      .orWhere('conference.name = ANY(:names)', { names })
      .getMany();
  }

  /** Loads just what the commands need, now that everything is locked: a statement that locks and reads at once would see
   * what was there before the wait. */
  private async load(
    manager: EntityManager,
    commands: readonly Command[],
    places: readonly Place[],
    userIds: string[],
  ): Promise<{ hall: Hall; transactionId: string }> {
    const conferences = new Map<number, ConferenceSeats>();
    for (const place of places) if (place instanceof Conference) conferences.set(place.conferenceId, seatsOf(place));
    const bookings = commands.flatMap((command, index) => {
      const place = places[index];
      return command.kind === 'book' && place instanceof Conference
        ? [{ userId: command.userId, conference: place }]
        : [];
    });
    const [clock] = await manager.query<[ClockRow]>(CLOCK_AND_IDS, [bookings.length]);
    const now = Number(clock.now);

    const seats: Seat[] = [];
    const read = async (statement: string, parameters: unknown[]): Promise<Seat[]> => {
      const rows = (await manager.query<SeatRow[]>(statement, parameters)).map(seatFromRow);
      seats.push(...rows);
      return rows;
    };

    if (bookings.length > 0) {
      await read(OVERLAPPING, [
        bookings.map(({ userId }) => userId),
        bookings.map(({ conference }) => conference.startsAt),
        bookings.map(({ conference }) => conference.endsAt),
      ]);
    }
    const bookingIds = commands.flatMap((command) => ('bookingId' in command ? [command.bookingId] : []));
    if (bookingIds.length > 0) await read(BOOKINGS_BY_ID, [bookingIds]);

    const isOpen = (id: number): boolean => {
      const conference = conferences.get(id);
      return conference !== undefined && !hasStarted(now, conference);
    };
    const lookedAt = [...new Set(commands.flatMap((command) => (isTimer(command) ? [command.conferenceId] : [])))];
    const expired = new Set(
      commands.flatMap((c) => (c.kind === 'expire' && isOpen(c.conferenceId) ? [c.conferenceId] : [])),
    );
    const started = lookedAt.filter((id) => conferences.has(id) && !isOpen(id));
    const limit = Math.ceil(DUE_ROWS / Math.max(1, lookedAt.length));
    const cutShort = new Set<number>();
    if (started.length > 0) await read(LEFT_AT_START, [started, limit]);
    if (expired.size > 0) {
      const overdue = countBy(await read(OVERDUE_OFFERS, [[...expired], new Date(now), limit]));
      for (const [conferenceId, count] of overdue) if (count >= limit) cutShort.add(conferenceId);
    }

    // How many of the front of each line may be asked up: each cancellation, and each offer that expires, asks one up at most.
    const canceled = new Set(commands.flatMap((command) => (command.kind === 'cancel' ? [command.bookingId] : [])));
    const mayFree = countBy(
      seats.filter(
        (seat) =>
          isOpen(seat.conferenceId) &&
          (canceled.has(seat.bookingId) || (seat.status === 'ConfirmationPending' && expired.has(seat.conferenceId))),
      ),
    );
    const lines = new Map<number, Seat[]>();
    for (const conferenceId of mayFree.keys()) lines.set(conferenceId, []);
    const waiting = [...mayFree].filter(([id]) => (conferences.get(id)?.waitlisted ?? 0) > 0);
    if (waiting.length > 0) {
      const rows = await manager.query<SeatRow[]>(FRONT_OF_LINES, [
        waiting.map(([conferenceId]) => conferenceId),
        waiting.map(([, count]) => count),
      ]);
      for (const row of rows) lines.get(row.conference_id)?.push(seatFromRow(row));
    }

    const hall = new Hall({
      now,
      policy: this.environment.offers,
      conferences: [...conferences.values()],
      userIds,
      seats,
      lines,
      cutShort,
      bookingIds: clock.ids.map(Number),
    });
    return { hall, transactionId: clock.transaction_id };
  }

  /** Locks what is free of these users. Those who are there and not locked are busy; others do not exist. */
  private async lockUsers(
    manager: EntityManager,
    wanted: string[],
  ): Promise<{ locked: string[]; busy: ReadonlySet<string> }> {
    const among = (userIds: string[]): SelectQueryBuilder<User> =>
      manager
        .withRepository(this.users)
        .createQueryBuilder('user')
        .select('user.userId')
        .where('user.userId = ANY(:userIds)', { userIds });
    const userIds = [...new Set(wanted)];
    if (userIds.length === 0) return { locked: [], busy: new Set() };
    const free = await among(userIds)
      .setLock('for_no_key_update')
      .setOnLocked('skip_locked')
      .orderBy('user.userId')
      .getMany();
    const locked = new Set(free.map(({ userId }) => userId));
    const missing = userIds.filter((userId) => !locked.has(userId));
    const busy = missing.length === 0 ? [] : await among(missing).getMany();
    return { locked: [...locked], busy: new Set(busy.map(({ userId }) => userId)) };
  }

  private async write(manager: EntityManager, hall: Hall): Promise<void> {
    const changed = [...hall.changed];
    const created = [...hall.created];
    const touched = [...hall.touched];
    const instant = (value: Instant | null): string | null => (value === null ? null : new Date(value).toISOString());
    if (changed.length > 0) {
      // Before the inserts: constraints look at every statement, and a booking that was canceled makes room for another.
      await manager.query(UPDATE_BOOKINGS, [
        changed.map((seat) => seat.bookingId),
        changed.map((seat) => seat.status),
        changed.map((seat) => seat.queueTicket),
        changed.map((seat) => instant(seat.confirmationDeadline)),
        changed.map((seat) => seat.missedOffers),
        changed.map((seat) => instant(seat.canceledAt)),
      ]);
    }
    if (touched.length === 0) return;
    await manager.query(WRITE_NEW, [
      created.map((seat) => seat.bookingId),
      created.map((seat) => seat.conferenceId),
      created.map((seat) => seat.userId),
      created.map((seat) => seat.status),
      created.map((seat) => instant(seat.startsAt)),
      created.map((seat) => instant(seat.endsAt)),
      created.map((seat) => seat.queueTicket),
      created.map((seat) => instant(seat.confirmationDeadline)),
      touched.map((conference) => conference.conferenceId),
      touched.map((conference) => conference.availableSlots),
      touched.map((conference) => conference.heldSlots),
      touched.map((conference) => conference.waitlisted),
      touched.map((conference) => conference.lastTicket),
      touched.map((conference) => instant(conference.waitlistClosedAt)),
      hall.transitions.map((transition) => transition.bookingId),
      hall.transitions.map((transition) => transition.fromStatus),
      hall.transitions.map((transition) => transition.toStatus),
      hall.transitions.map((transition) => transition.reason),
      hall.transitions.map((transition) => transition.causeBookingId),
      instant(hall.now),
    ]);
  }
}

/**
 * Ends a connection that is lost, or in an unknown state. The pool does not notice at once that the server has said
 * goodbye, and would hand it to the next transaction.
 */
async function discard(runner: QueryRunner): Promise<void> {
  if (runner.isReleased) return;
  try {
    const client = (await runner.connect()) as { end: () => Promise<void> };
    void client.end().catch(() => undefined);
  } catch {
    // There never was a connection.
  }
}

type Place = Conference | (BusyConference & { busy: true }) | null;

interface BelongingRow {
  booking_id: string;
  conference_id: number;
}

interface ClockRow {
  now: string;
  transaction_id: string;
  ids: string[];
}

function countBy(seats: Seat[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { conferenceId } of seats) counts.set(conferenceId, (counts.get(conferenceId) ?? 0) + 1);
  return counts;
}

function isBusy(place: Place | undefined): place is BusyConference & { busy: true } {
  return place !== null && place !== undefined && 'busy' in place;
}

function seatsOf(conference: Conference): ConferenceSeats {
  return {
    conferenceId: conference.conferenceId,
    name: conference.name,
    startsAt: conference.startsAt.getTime(),
    endsAt: conference.endsAt.getTime(),
    totalSlots: conference.totalSlots,
    availableSlots: conference.availableSlots,
    heldSlots: conference.heldSlots,
    waitlisted: conference.waitlisted,
    lastTicket: conference.lastTicket,
    waitlistClosedAt: conference.waitlistClosedAt?.getTime() ?? null,
  };
}

function offersMade(hall: Hall): { conferenceId: number; deadline: Instant }[] {
  const offers = new Map<string, { conferenceId: number; deadline: Instant }>();
  for (const seat of [...hall.changed, ...hall.created]) {
    const { conferenceId, status, confirmationDeadline: deadline } = seat;
    if (status !== 'ConfirmationPending' || deadline === null) continue;
    offers.set(`${conferenceId} ${deadline}`, { conferenceId, deadline });
  }
  return [...offers.values()];
}

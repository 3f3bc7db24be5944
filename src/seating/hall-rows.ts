import type { FlightTransaction, Statement } from '../database/flights.js';
import { statement } from '../database/flights.js';
import { Hall } from './hall.js';
import { type Command, type Instant, isTimer, type Policy, type Seat } from './model.js';
import { hasStarted } from './rules.js';
import {
  bookingIdsOf,
  type BusyConference,
  conferenceIdsOf,
  conferenceNamesOf,
  type Obstacle,
  type SeatingLocks,
  seatsOf,
} from './seating-locks.js';
import {
  ACTIVE_OF_USERS,
  ARCHIVED_BY_ID,
  type ArchivedRow,
  BOOKINGS_BY_ID,
  CLOCK_AND_IDS,
  FRONT_BEHIND_BOOKINGS,
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

interface ClockRow {
  now: string;
  transaction_id: string;
  ids: string[];
}

/** A batch whose locks are held, and what its commands need. */
export interface Loaded {
  hall: Hall;
  /** In the order of the commands: what a command has to wait for. */
  obstacles: Obstacle[];
  transactionId: string;
}

/**
 * Locks all that these commands need and that is free, and loads just what they need. What is busy is passed over, and so
 * is whoever is in `passOver`. Locks and reads go out together, and each is a statement of its own: one that locks and
 * reads at once would see what was there before the lock was free.
 */
export async function loadHall(
  transaction: FlightTransaction,
  locks: SeatingLocks,
  commands: readonly Command[],
  passOver: readonly BusyConference[],
  policy: Policy,
): Promise<Loaded> {
  const passedOver = new Set(passOver.map(({ name }) => name));
  const asked = commands.filter((command) => command.kind !== 'book' || !passedOver.has(command.conferenceName));
  const bookings = asked.filter((command) => command.kind === 'book');
  const users = new Set(bookings.map(({ userId }) => userId));
  const bookingIds = bookingIdsOf(asked);
  const canceled = asked.flatMap((command) => (command.kind === 'cancel' ? [command.bookingId] : []));
  const [rows, lockedUsers, [clock], overlapping, active, named, behind] = await transaction.send(
    locks.lockConferences(asked, passOver),
    locks.lockUsers([...users]),
    statement<ClockRow>(CLOCK_AND_IDS, [bookings.length]),
    bookings.length === 0
      ? null
      : statement<SeatRow>(OVERLAPPING, [
          bookings.map(({ userId }) => userId),
          bookings.map(({ conferenceName }) => conferenceName),
        ]),
    // Whoever had the lock of a user before has told what they booked: with it held, nobody books for this user but this batch.
    bookings.length === 0 || policy.maxActive === 0 ? null : statement<SeatRow>(ACTIVE_OF_USERS, [[...users]]),
    bookingIds.length === 0 ? null : statement<SeatRow>(BOOKINGS_BY_ID, [bookingIds]),
    canceled.length === 0 ? null : statement<SeatRow>(FRONT_BEHIND_BOOKINGS, [canceled]),
  );
  if (clock === undefined) throw new Error('The database did not say what time it is');
  const now = Number(clock.now);
  const conferences = new Map(rows.map((row) => [row.conferenceId, seatsOf(row)]));
  const userIds = lockedUsers.map(({ userId }) => userId);
  const seats = [...overlapping, ...active, ...named].map(seatFromRow);

  // What was not locked is busy, or does not exist; a booking that is not there may be in the archive, also since a moment ago.
  const conferenceOf = new Map(named.map((row) => [Number(row.booking_id), row.conference_id]));
  const lockedNames = new Set(rows.map(({ name }) => name));
  const known = new Set([...conferences.keys(), ...passOver.map(({ conferenceId }) => conferenceId)]);
  for (const userId of userIds) users.delete(userId);
  const [busy, busyUsers, archived] = await transaction.send(
    locks.findConferences(
      [...conferenceIdsOf(asked), ...conferenceOf.values()].filter((id) => !known.has(id)),
      conferenceNamesOf(asked).filter((name) => !lockedNames.has(name)),
    ),
    locks.findUsers([...users]),
    findArchived(bookingIds.filter((bookingId) => !conferenceOf.has(bookingId))),
  );
  const obstacles = obstaclesOf(
    commands,
    conferenceOf,
    [...passOver, ...busy],
    busyUsers.map(({ userId }) => userId),
  );

  const attended = commands.filter((_, index) => obstacles[index] === null);
  const isOpen = (id: number): boolean => {
    const conference = conferences.get(id);
    return conference !== undefined && !hasStarted(now, conference);
  };
  const lookedAt = conferenceIdsOf(attended);
  const expired = new Set(
    attended.flatMap((c) => (c.kind === 'expire' && isOpen(c.conferenceId) ? [c.conferenceId] : [])),
  );
  const started = lookedAt.filter((id) => conferences.has(id) && !isOpen(id));
  const limit = Math.ceil(DUE_ROWS / Math.max(1, lookedAt.length));
  const [left, overdue] = await transaction.send(
    started.length === 0 ? null : statement<SeatRow>(LEFT_AT_START, [started, limit]),
    expired.size === 0 ? null : statement<SeatRow>(OVERDUE_OFFERS, [[...expired], new Date(now), limit]),
  );
  seats.push(...[...left, ...overdue].map(seatFromRow));
  const cutShort = new Set<number>();
  for (const [conferenceId, count] of countBy(overdue.map(seatFromRow))) {
    if (count >= limit) cutShort.add(conferenceId);
  }

  const lines = new Map<number, Seat[]>(
    named.filter((row) => conferences.has(row.conference_id)).map((row) => [row.conference_id, []]),
  );
  // Each offer that expires asks one up at most, beside those whom the cancellations may ask up.
  const mayFree = countBy([...overdue, ...named].filter((row) => expired.has(row.conference_id)).map(seatFromRow));
  for (const conferenceId of expired) lines.set(conferenceId, []);
  const waiting = [...mayFree].filter(([id]) => (conferences.get(id)?.waitlisted ?? 0) > 0);
  const [fronts] = await transaction.send(
    waiting.length === 0
      ? null
      : statement<SeatRow>(FRONT_OF_LINES, [
          waiting.map(([conferenceId]) => conferenceId),
          waiting.map(([, count]) => count),
        ]),
  );
  for (const row of [...behind.filter((each) => !expired.has(each.conference_id)), ...fronts]) {
    lines.get(row.conference_id)?.push(seatFromRow(row));
  }

  const hall = new Hall({
    now,
    policy,
    conferences: [...conferences.values()],
    userIds,
    seats,
    archived: archived.map((row) => ({ bookingId: Number(row.booking_id), userId: row.user_id, status: row.status })),
    lines,
    cutShort,
    bookingIds: clock.ids.map(Number),
  });
  return { hall, obstacles, transactionId: clock.transaction_id };
}

function obstaclesOf(
  commands: readonly Command[],
  conferenceOf: ReadonlyMap<number, number>,
  busyConferences: readonly BusyConference[],
  busyUsers: readonly string[],
): Obstacle[] {
  const byName = new Map(busyConferences.map((conference) => [conference.name, conference]));
  const byId = new Map(busyConferences.map((conference) => [conference.conferenceId, conference]));
  const users = new Set(busyUsers);
  return commands.map((command) => {
    if (command.kind === 'book') {
      return byName.get(command.conferenceName) ?? (users.has(command.userId) ? 'busy user' : null);
    }
    const id = isTimer(command) ? command.conferenceId : conferenceOf.get(command.bookingId);
    return (id === undefined ? undefined : byId.get(id)) ?? null;
  });
}

function findArchived(bookingIds: readonly number[]): Statement<ArchivedRow> | null {
  return bookingIds.length === 0 ? null : statement<ArchivedRow>(ARCHIVED_BY_ID, [bookingIds]);
}

/** The statements that write what the rules have changed: bookings, counters, and a transition for every step. */
export function writesOf(hall: Hall): (Statement<never> | null)[] {
  const changed = [...hall.changed];
  const created = [...hall.created];
  const touched = [...hall.touched];
  const instant = (value: Instant | null): string | null => (value === null ? null : new Date(value).toISOString());
  // Before the inserts: constraints look at every statement, and a booking that was canceled makes room for another.
  const update =
    changed.length === 0
      ? null
      : statement<never>(UPDATE_BOOKINGS, [
          changed.map((seat) => seat.bookingId),
          changed.map((seat) => seat.status),
          changed.map((seat) => seat.queueTicket),
          changed.map((seat) => instant(seat.confirmationDeadline)),
          changed.map((seat) => seat.missedOffers),
          changed.map((seat) => instant(seat.canceledAt)),
        ]);
  if (touched.length === 0) return [update];
  const write = statement<never>(WRITE_NEW, [
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
    hall.transitions.map((transition) => transition.organizerId),
  ]);
  return [update, write];
}

function countBy(seats: Seat[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { conferenceId } of seats) counts.set(conferenceId, (counts.get(conferenceId) ?? 0) + 1);
  return counts;
}

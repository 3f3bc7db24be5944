import type { EntityManager } from 'typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { Hall } from './hall.js';
import {
  type ArchivedSeat,
  type Command,
  type ConferenceSeats,
  type Instant,
  isTimer,
  type OfferPolicy,
  type Seat,
} from './model.js';
import { hasStarted } from './rules.js';
import type { Place } from './seating-locks.js';
import {
  ARCHIVED_BY_ID,
  type ArchivedRow,
  BOOKINGS_BY_ID,
  CLOCK_AND_IDS,
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

/**
 * Loads just what the commands need, now that everything is locked: a statement that locks and reads at once would see
 * what was there before the wait.
 */
export async function loadHall(
  manager: EntityManager,
  commands: readonly Command[],
  places: readonly Place[],
  userIds: string[],
  policy: OfferPolicy,
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
  const named = bookingIds.length > 0 ? await read(BOOKINGS_BY_ID, [bookingIds]) : [];
  const archived = await findArchived(manager, bookingIds, named);

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
    policy,
    conferences: [...conferences.values()],
    userIds,
    seats,
    archived,
    lines,
    cutShort,
    bookingIds: clock.ids.map(Number),
  });
  return { hall, transactionId: clock.transaction_id };
}

/** Whatever is not among the live bookings may be in the archive, also since a moment ago. */
async function findArchived(manager: EntityManager, wanted: number[], live: Seat[]): Promise<ArchivedSeat[]> {
  const found = new Set(live.map(({ bookingId }) => bookingId));
  const missing = wanted.filter((bookingId) => !found.has(bookingId));
  if (missing.length === 0) return [];
  const rows = await manager.query<ArchivedRow[]>(ARCHIVED_BY_ID, [missing]);
  return rows.map((row) => ({ bookingId: Number(row.booking_id), userId: row.user_id, status: row.status }));
}

/** Writes what the rules have changed: bookings, counters, and a transition for every step. */
export async function writeHall(manager: EntityManager, hall: Hall): Promise<void> {
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

function countBy(seats: Seat[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { conferenceId } of seats) counts.set(conferenceId, (counts.get(conferenceId) ?? 0) + 1);
  return counts;
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

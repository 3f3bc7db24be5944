import { setTimeout as pause } from 'node:timers/promises';
import { CannotRun } from '../../src/cli/client-program.js';
import { latenessOfMissed } from '../e2e/support.js';
import { eventually } from '../support/eventually.js';
import type { Ground } from './ground.js';
import type { House } from './house.js';
import type { Figure } from './report.js';
import { fillHalls, findConfirmed } from './seats.js';
import { Timers } from './timers.js';

const OFFERS_PER_SECOND = 100;
const LATE_AT_MOST_MS = 250;

const HALLS_AT_ONCE = 500;
const OFFERS_EACH = 10;
const AT_ONCE_WINDOW_SECONDS = 10;
/** The offers are written so long before the moment at which they say that they were made. */
const PREPARATION_MS = 10_000;

const POLL_MS = 250;

const CLOCKS = ['with the broker', 'without a broker'] as const;
type Clock = (typeof CLOCKS)[number];

/** How late offers expire, by the database's clock: at a steady rate for `seconds`, and thousands at one moment. */
export async function* measureLateness(ground: Ground, seconds: number): AsyncGenerator<Figure> {
  for (const clock of CLOCKS) yield await atARate(ground, clock, seconds);
  for (const clock of CLOCKS) yield await atOnce(ground, clock);
}

async function openHouse(ground: Ground, clock: Clock, windowSeconds: number): Promise<House> {
  const broker = clock === 'with the broker' ? { RABBITMQ_URL: (await ground.broker).url } : {};
  return ground.openHouse({ CONFIRMATION_WINDOW_SECONDS: String(windowSeconds), ...broker });
}

/** As many open offers as there are to be in a second, with a window of a second: each goes round between two people. */
async function atARate(ground: Ground, clock: Clock, seconds: number): Promise<Figure> {
  const house = await openHouse(ground, clock, 1);
  await fillHalls(house, { conferences: OFFERS_PER_SECOND, slots: 1, waiting: 2, offeredAt: null });
  const canceling: Promise<void>[] = [];
  for (const bookingId of await findConfirmed(house)) {
    canceling.push(house.free(bookingId));
    await pause(1_000 / OFFERS_PER_SECOND);
  }
  await Promise.all(canceling);
  const values = await whenMissed(house, OFFERS_PER_SECOND * seconds, 3 * seconds + 10);
  const what = `lateness of expiry at ${OFFERS_PER_SECOND} offers/s ${clock}`;
  return leave(house, { what, values, bar: { of: 'p99', ms: LATE_AT_MOST_MS } });
}

/** Offers of many conferences with one deadline, and a timer for each conference where there is a broker. */
async function atOnce(ground: Ground, clock: Clock): Promise<Figure> {
  const house = await openHouse(ground, clock, AT_ONCE_WINDOW_SECONDS);
  const offeredAt = (await databaseNow(house)) + PREPARATION_MS;
  await fillHalls(house, {
    conferences: HALLS_AT_ONCE,
    slots: OFFERS_EACH,
    waiting: OFFERS_EACH,
    offeredAt: new Date(offeredAt).toISOString(),
  });
  const timers = await Timers.open(house);
  const early = offeredAt - (await databaseNow(house));
  if (early < 0)
    throw new CannotRun(`This machine is too busy: what takes a second took ${PREPARATION_MS - early} ms.`);
  await pause(early);
  await timers?.set(HALLS_AT_ONCE, offeredAt + 1_000 * AT_ONCE_WINDOW_SECONDS);
  await timers?.close();
  const offers = HALLS_AT_ONCE * OFFERS_EACH;
  const values = await whenMissed(house, offers, 6 * AT_ONCE_WINDOW_SECONDS);
  // Each was followed by another, a window later.
  if (values.length > offers) throw new CannotRun(`The last of ${offers} offers was more than a window late.`);
  return leave(house, { what: `lateness of expiry, ${offers} due at once, ${clock}`, values, bar: null });
}

/** When so many offers have been missed: how late each was ended, ms, least first. */
async function whenMissed(house: House, count: number, timeoutSeconds: number): Promise<number[]> {
  await eventually(
    async () => {
      const [row] = await house.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM booking_transitions WHERE reason = 'missed'`,
      );
      if ((row?.count ?? 0) < count) throw new Error(`${row?.count ?? 0} of ${count} offers have expired`);
    },
    { timeoutMs: 1_000 * timeoutSeconds, intervalMs: POLL_MS },
  );
  return latenessOfMissed(house, house.environment.offers.windowMs / 1_000);
}

/** Whole ms since 1970 by the one clock that counts. */
async function databaseNow(house: House): Promise<number> {
  const [row] = await house.query<{ now: string }>('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) AS now');
  return Number(row?.now);
}

async function leave(house: House, figure: Omit<Figure, 'broken'>): Promise<Figure> {
  const broken = await house.brokenRules();
  await house.close();
  return { ...figure, broken };
}

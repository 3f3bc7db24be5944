import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'amqplib';
import { type ApiClient, describeAnswer, ServiceUnreachable } from '../../src/cli/api-client.js';
import { isProcessAlive } from '../../src/database/folder-lock.js';
import { eventually } from '../support/eventually.js';
import type { Ground } from './ground.js';
import { type House, openDatabase } from './house.js';
import type { Figure } from './report.js';
import { fillHalls, findConfirmed } from './seats.js';

const ROUNDS = 3;
const BROKER_AT_MOST_MS = 15_000;
const DATABASE_AT_MOST_MS = 10_000;
const BACK_WITHIN_MS = 60_000;
const POLL_MS = 10;

/** One that has room for all who book while the database is away. */
const BIG_HALL = 'Big hall';
const GUESTS = 1_000;

/** How soon the service is whole again after its broker, and after its database, was killed and is back. */
export async function* measureRecovery(ground: Ground): AsyncGenerator<Figure> {
  const house = await ground.openHouse({
    RABBITMQ_URL: (await ground.broker).url,
    // A timer that the broker does not bring never comes.
    SWEEP_INTERVAL_SECONDS: '3600',
    // The shortest, and an offer that is missed is the last: what is measured is the service, not the window.
    CONFIRMATION_WINDOW_SECONDS: '0.1',
    MAX_MISSED_OFFERS: '1',
  });
  await fillHalls(house, { conferences: ROUNDS, slots: 1, waiting: 1, offeredAt: null });
  const broker: number[] = [];
  for (const bookingId of await findConfirmed(house)) broker.push(await restartBroker(ground, house, bookingId));
  yield toFigure('time to recover after a broker restart', broker, BROKER_AT_MOST_MS, await house.brokenRules());
  await openBigHall(house);
  const database: number[] = [];
  for (let round = 0; round < ROUNDS; round++) database.push(await restartDatabase(ground, house));
  yield toFigure('time to recover after a database restart', database, DATABASE_AT_MOST_MS, await house.brokenRules());
  await house.close();
}

/** The worst counts. */
function toFigure(what: string, values: number[], atMostMs: number, broken: Figure['broken']): Figure {
  return { what, values: values.toSorted((a, b) => a - b), bar: { of: 'max', ms: atMostMs }, broken };
}

/**
 * Kills the broker and starts it again.
 * @returns ms from when it accepts connections until the instance says that it has it, and a timer that was set after
 *   that, by freeing the slot of `bookingId`, has come
 */
async function restartBroker(ground: Ground, house: House, bookingId: number): Promise<number> {
  const broker = await ground.broker;
  await broker.kill();
  await house.instance.whenReady('down');
  const [backAt, recoveredAt] = await Promise.all([
    whenAccepting(async () => (await connect(broker.url, { timeout: 2_000 })).close()),
    (async () => {
      await house.instance.whenReady('up');
      await house.free(bookingId);
      await whenOfferEnded(house, bookingId);
      return performance.now();
    })(),
    broker.restart(),
  ]);
  return recoveredAt - backAt;
}

/** Resolves when the offer of a slot that was freed has been missed. */
async function whenOfferEnded(house: House, freedBookingId: number): Promise<void> {
  await eventually(
    async () => {
      const rows = await house.query(
        `SELECT FROM booking_transitions offered JOIN booking_transitions missed USING (booking_id)
         WHERE offered.cause_booking_id = $1 AND missed.reason = 'missed_too_often'`,
        [freedBookingId],
      );
      if (rows.length === 0) throw new Error('A timer that was set once the broker was back has not come');
    },
    { timeoutMs: BACK_WITHIN_MS, intervalMs: POLL_MS },
  );
}

async function openBigHall(house: House): Promise<void> {
  await house.query(
    `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
     SELECT $1, 'Here', at, at + interval '1 hour', $2::int, $2::int
     FROM date_trunc('milliseconds', now() + interval '200 days') AS at`,
    [BIG_HALL, GUESTS],
  );
  await house.query(`INSERT INTO users (user_id) SELECT 'guest' || n FROM generate_series(1, $1::int) n`, [GUESTS]);
}

/**
 * Kills the database server, which its owner starts again on its folder and port, while one guest after the other books.
 * @returns ms from when it accepts connections until a booking is answered 201
 */
async function restartDatabase(ground: Ground, house: House): Promise<number> {
  const { url } = await ground.postgres;
  const pid = await ground.findServerPid();
  process.kill(pid, 'SIGKILL');
  let isBack = false;
  const [answeredAt, backAt] = await Promise.all([
    whenBooked(house, () => isBack),
    (async () => {
      await eventually(() => {
        if (isProcessAlive(pid)) throw new Error('The database server has not ended');
      });
      const at = await whenAccepting(async () => (await openDatabase(url)).destroy());
      isBack = true;
      return at;
    })(),
  ]);
  return answeredAt - backAt;
}

/** Books again and again; resolves to when a booking was answered 201 while `counts`, by `performance.now()`. */
async function whenBooked({ api }: House, counts: () => boolean): Promise<number> {
  const giveUpAt = performance.now() + BACK_WITHIN_MS;
  for (let guest = 1; performance.now() < giveUpAt; guest = (guest % GUESTS) + 1) {
    const isBooked = await book(api, `guest${guest}`);
    if (isBooked && counts()) return performance.now();
    await pause(POLL_MS);
  }
  throw new Error(`Nobody could book for ${BACK_WITHIN_MS / 1_000} s`);
}

async function book(api: ApiClient, guest: string): Promise<boolean> {
  try {
    const reply = await api.book(guest, BIG_HALL);
    // Booked in an earlier round, or not known to be.
    if (!reply.ok && ![400, 503].includes(reply.answer.status)) throw new Error(describeAnswer(reply.answer));
    return reply.ok;
  } catch (error) {
    if (error instanceof ServiceUnreachable) return false;
    throw error;
  }
}

/** When somebody first lets `connectAndClose` succeed, by `performance.now()`. */
async function whenAccepting(connectAndClose: () => Promise<void>): Promise<number> {
  return eventually(
    async () => {
      await connectAndClose();
      return performance.now();
    },
    { timeoutMs: BACK_WITHIN_MS, intervalMs: POLL_MS },
  );
}

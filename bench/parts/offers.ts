import { setTimeout as pause } from 'node:timers/promises';
import { Timers } from '../../test/figures/timers.js';
import { eventually } from '../../test/support/eventually.js';
import type { Bench, Service } from '../bench.js';
import { booking } from '../bookings.js';
import { addUsers, fillHalls, settle } from '../halls.js';
import type { LoadResult } from '../load/job.js';
import { limit, limitP99, type Row } from '../rows.js';

const HALLS = 500;
const OFFERS_EACH = 20;
const OFFERS = HALLS * OFFERS_EACH;
/** Longer than the cycle may take: an offer that follows another does not end within it. */
const WINDOW_SECONDS = 12;
/** What is written before the moment at which the offers say that they were made takes less. */
const PREPARATION_MS = 6_000;

const CYCLED_WITHIN_S = 10;
const BOOKING_P99_AT_MOST_MS = 500;
/** So many people book, who pause a moment each time: some hundred bookings a second, as on a good day. */
const CLIENTS = 16;
const PAUSE_MS = 40;

/**
 * 10,000 offers with one deadline and one worker, while people book the same conferences at an API instance. Only once,
 * whatever the number of rounds: it is the last of 10,000 that counts.
 */
export async function measureOffers(bench: Bench): Promise<Row[]> {
  const api = await bench.openService({
    CONFIRMATION_WINDOW_SECONDS: String(WINDOW_SECONDS),
    ENABLE_QUEUE_CONSUMERS: 'false',
  });
  const role = { ENABLE_QUEUE_CONSUMERS: 'true', WORKER_ONLY: 'true' };
  const worker = await bench.ground.launch({ ...api.house.variables, ...role });
  await worker.whenReady('up');
  const { seconds, load } = await expireAll(bench, api);
  await worker.stop();
  const bar = { atMost: CYCLED_WITHIN_S };
  return bench.leave(api, [
    limit('10,000 offers that end at once: the last one is cycled after', [seconds], { unit: 's', bar }),
    limitP99('bookings meanwhile, p99', [load], BOOKING_P99_AT_MOST_MS),
  ]);
}

/** @returns how long after their deadline the last of the offers was ended, and the load of the time from then on */
async function expireAll(bench: Bench, service: Service): Promise<{ seconds: number; load: LoadResult }> {
  const { house, query, ports } = service;
  const offeredAt = (await databaseNow(service)) + PREPARATION_MS;
  const deadline = offeredAt + 1_000 * WINDOW_SECONDS;
  const people = 10_000;
  await addUsers(query, 'late', people);
  await fillHalls(query, {
    prefix: 'Hall',
    conferences: HALLS,
    confirmed: 0,
    offered: OFFERS_EACH,
    waiting: OFFERS_EACH,
    offeredAt: new Date(offeredAt).toISOString(),
    deadline: new Date(deadline).toISOString(),
  });
  await settle(query);
  const timers = await Timers.open(house);
  await pause(Math.max(0, offeredAt - (await databaseNow(service))));
  await timers?.set(HALLS, deadline);
  await timers?.close();
  await pause(Math.max(0, deadline - (await databaseNow(service))));
  const requests = Array.from({ length: people }, (_, index) =>
    booking(`late${index + 1}`, `Hall ${(index % HALLS) + 1}`),
  );
  const [load, seconds] = await Promise.all([
    bench.load.run({ ports, connections: CLIENTS, seconds: CYCLED_WITHIN_S, requests, pauseMs: PAUSE_MS }),
    whenCycled(service, deadline),
  ]);
  return { seconds, load };
}

/** When each of the offers has been ended: how late the last one was, s. */
async function whenCycled({ query }: Service, deadline: number): Promise<number> {
  return eventually(
    async () => {
      const [row] = (await query(
        `SELECT count(*)::int AS count, (extract(epoch FROM max(at)) - $1)::float8 AS late
         FROM booking_transitions WHERE reason = 'missed'`,
        [deadline / 1_000],
      )) as { count: number; late: number }[];
      if (row === undefined || row.count < OFFERS) throw new Error(`${row?.count ?? 0} of ${OFFERS} offers have ended`);
      return row.late;
    },
    { timeoutMs: 60_000, intervalMs: 500 },
  );
}

/** Whole ms since 1970 by the one clock that counts. */
async function databaseNow({ query }: Service): Promise<number> {
  const [row] = (await query('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) AS now')) as {
    now: string;
  }[];
  return Number(row?.now);
}

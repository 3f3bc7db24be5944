import type { Bench, Service, Turn } from '../bench.js';
import { book, lookUp, register } from '../bookings.js';
import { fillHalls, settle } from '../halls.js';
import type { LoadResult } from '../load/job.js';
import { compare, type Row } from '../rows.js';

const AT_LEAST = 0.85;
const WITHOUT = 'without';
const MANY = 256;
const FEW = 64;
const HALLS = 20;
/** Of each hall, and as many again wait. */
const CONFIRMED = 50;

/** With tokens, limits and metrics, against the same without any of them. */
export async function measureGuarded(bench: Bench): Promise<Row[]> {
  const [plain, guarded] = [await bench.openService({ RATE_LIMIT_PER_MINUTE: '0' }), await bench.openGuardedService()];
  for (const { query } of [plain, guarded]) {
    const prefix = 'Full';
    await fillHalls(query, { prefix, conferences: HALLS, confirmed: CONFIRMED, offered: 0, waiting: CONFIRMED });
    await settle(query);
  }
  const measure = async (what: string, run: (service: Service, turn: Turn) => Promise<LoadResult>): Promise<Row> => {
    const results = await bench.inTurn({
      without: (turn) => run(plain, turn),
      with: (turn) => run(guarded, turn),
    });
    return compare(`${what}, guarded`, results.with, { what: WITHOUT, results: results.without }, AT_LEAST);
  };
  const rows = [
    // Everybody's token is new to the service.
    await measure('book, one conference, 256 connections', (service, turn) =>
      book(bench.load, service, turn, { connections: MANY, conferences: 1 }),
    ),
    await measure('book, 2,000 conferences, 64 connections', (service, turn) =>
      book(bench.load, service, turn, { connections: FEW, conferences: 2_000 }),
    ),
    await measure('register users, 64 connections', (service, turn) => register(bench.load, service, turn, FEW)),
    await measure('GET /booking/{id}, 64 connections', (service, turn) =>
      lookUp(bench.load, service, turn, { connections: FEW, bookings: 2 * HALLS * CONFIRMED }),
    ),
  ];
  return bench.leave(guarded, await bench.leave(plain, rows));
}

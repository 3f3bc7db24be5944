import type { Bench, Service, Turn } from '../bench.js';
import { book, lookUp, register } from '../bookings.js';
import { fillHalls, settle } from '../halls.js';
import type { LoadResult } from '../load/job.js';
import { compare, type Row } from '../rows.js';

interface Guarding {
  label: string;
  areTokensNew: boolean;
}

const KNOWN: Guarding = { label: 'guarded', areTokensNew: false };
/** A token that comes for the first time is checked. */
const NEW: Guarding = { label: 'guarded, new tokens', areTokensNew: true };
/** Of the rate without any guards. */
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
  const measure = async (
    what: string,
    guardings: readonly Guarding[],
    run: (service: Service, turn: Turn) => Promise<LoadResult>,
  ): Promise<Row[]> => {
    const contenders: Record<string, (turn: Turn) => Promise<LoadResult>> = { [WITHOUT]: (turn) => run(plain, turn) };
    for (const { label, areTokensNew } of guardings) {
      contenders[label] = (turn) => run({ ...guarded, areTokensNew }, turn);
    }
    const results = await bench.inTurn(contenders);
    const against = { what: WITHOUT, results: results[WITHOUT] ?? [] };
    return guardings.map(({ label }) => compare(`${what}, ${label}`, results[label] ?? [], against, AT_LEAST));
  };
  const rows = [
    await measure('book, one conference, 256 connections', [KNOWN, NEW], (service, turn) =>
      book(bench.load, service, turn, { connections: MANY, conferences: 1 }),
    ),
    await measure('book, 2,000 conferences, 64 connections', [KNOWN, NEW], (service, turn) =>
      book(bench.load, service, turn, { connections: FEW, conferences: 2_000 }),
    ),
    await measure('register users, 64 connections', [KNOWN, NEW], (service, turn) =>
      register(bench.load, service, turn, FEW),
    ),
    // With the one token of an organizer.
    await measure('GET /booking/{id}, 64 connections', [KNOWN], (service, turn) =>
      lookUp(bench.load, service, turn, { connections: FEW, bookings: 2 * HALLS * CONFIRMED }),
    ),
  ];
  return bench.leave(guarded, await bench.leave(plain, rows.flat()));
}

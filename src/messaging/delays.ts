const LADDER_MS = [1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000];

/** How much later than asked a timer may come rather than take another hop, ms. */
const TOLERANCE_MS = 100;

/** How long the delay queues hold a message, ms, shortest first: a ladder up to one day, and the confirmation window. */
export function delayRungs(windowMs: number): number[] {
  return [...new Set([...LADDER_MS, windowMs])].sort((a, b) => a - b);
}

/**
 * The delay queue for a timer that is due in `remainingMs`: the longest that does not make it late by more than 0.1 s,
 * nor by more than a tenth of that queue's delay, so that a short confirmation window stays short.
 * @returns the rung in ms, or `null` where even the shortest is too long: the rest is to be waited out without a queue
 */
export function rungFor(remainingMs: number, rungs: readonly number[]): number | null {
  return rungs.findLast((rung) => rung <= remainingMs + Math.min(TOLERANCE_MS, rung / 10)) ?? null;
}

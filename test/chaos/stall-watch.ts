const TICK_MS = 20;
/** A tick that comes later than that is a stall. */
const NOTICED_MS = 20;

/** A time in which this process got nothing done, and so most likely nobody did. `at` is its end, ms since 1970. */
export interface Stall {
  at: number;
  ms: number;
}

/** Sees when this machine stands still, or has more to do than it can: by a timer that comes late. */
export class StallWatch {
  readonly stalls: Stall[] = [];
  private lastAt = performance.now();
  private readonly timer = setInterval(() => this.tick(), TICK_MS);

  stop(): void {
    this.tick();
    clearInterval(this.timer);
  }

  private tick(): void {
    const now = performance.now();
    const ms = now - this.lastAt - TICK_MS;
    if (ms > NOTICED_MS) this.stalls.push({ at: Date.now(), ms });
    this.lastAt = now;
  }
}

/** How much of the time from `from` to `to` was lost, ms. */
export function lostMs(stalls: readonly Stall[], from: number, to: number): number {
  let lost = 0;
  for (const { at, ms } of stalls) lost += Math.max(0, Math.min(at, to) - Math.max(at - ms, from));
  return Math.round(lost);
}

const TICK_MS = 20;

/** Sees for how long this process, and so most likely the whole machine, stands still at most. */
export class StallWatch {
  private longestMs = 0;
  private lastAt = performance.now();
  private readonly timer = setInterval(() => this.tick(), TICK_MS);

  /** Ends it. @returns the longest stall, ms */
  stop(): number {
    this.tick();
    clearInterval(this.timer);
    return Math.round(this.longestMs);
  }

  private tick(): void {
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.lastAt - TICK_MS);
    this.lastAt = now;
  }
}

import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';

const TICK_MS = 10;
/** So many ticks without an arrival are quiet; counted, not timed, as a process that was held up has seen nothing. */
const QUIET_TICKS = 10;
/** It is waited for quiet at most so long. */
const QUIET_WITHIN_MS = 1_000;

/** Whether this instance has been told to stop: it finishes what it has, and wants nothing new. */
@Injectable()
export class Drain {
  private begun = false;
  private arrivals = 0;
  private released: Promise<void> | null = null;
  private release: () => void = () => undefined;

  get isDraining(): boolean {
    return this.begun;
  }

  /** What a request that comes now is to wait for; null: nothing. */
  get hold(): Promise<void> | null {
    return this.released;
  }

  begin(): void {
    this.begun = true;
  }

  /** To be told of every connection and every request that comes. */
  countArrival(): void {
    this.arrivals++;
  }

  /**
   * Keeps requests waiting from now on, until {@link letGo}, and resolves when nothing has come for 100 ms, or after 1 s.
   * Whoever sends each request to the instance that has the fewest unanswered, sends no more to one that answers none. So
   * the port can be closed while nobody is on the way to it: the system resets those whom it has let in and who have not
   * been accepted, and a balancer may not send a POST again of which it does not know what became.
   */
  async quieten(): Promise<void> {
    this.released ??= new Promise((resolve) => (this.release = resolve));
    const giveUpAt = performance.now() + QUIET_WITHIN_MS;
    for (let quiet = 0, seen = this.arrivals; quiet < QUIET_TICKS && performance.now() < giveUpAt; quiet++) {
      await pause(TICK_MS);
      // Whoever came meanwhile is accepted before this goes on.
      await nextTurn();
      if (seen !== this.arrivals) quiet = -1;
      seen = this.arrivals;
    }
  }

  /** Lets those go on who were kept waiting. */
  letGo(): void {
    this.release();
    this.released = null;
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import { overloaded, timedOut } from '../common/app-error.js';
import { isDatabaseAway, isTransient, sqlState } from './failures.js';

/** A wish waits at most so long, ms, for its statement, and at most so many wait. */
const WAIT_MS = 5_000;
const WAITING_MOST = 10_000;

interface Waiting<Wish, Answer> {
  wish: Wish;
  /** `performance.now()` when it came. */
  since: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** Wishes that gather while the statement before is run, and are then carried out by one statement together. */
export class Together<Wish, Answer> {
  private readonly waiting: Waiting<Wish, Answer>[] = [];
  private isWorking = false;

  /**
   * @param carryOut one statement for 1 to `most` wishes, in order of arrival; gives an answer for each, in the same order
   */
  constructor(
    private readonly carryOut: (wishes: Wish[]) => Promise<Answer[]>,
    private readonly most: number,
  ) {}

  /**
   * Waits for the statement that is run, and for those of whoever came before, at most so many in each.
   * @throws what its own statement throws; AppError `OVERLOADED` or `TIMED_OUT` where it was never begun
   */
  async ask(wish: Wish): Promise<Answer> {
    if (this.waiting.length >= WAITING_MOST) throw overloaded();
    return new Promise((resolve, reject) => {
      this.waiting.push({ wish, since: performance.now(), resolve, reject });
      void this.work();
    });
  }

  private async work(): Promise<void> {
    if (this.isWorking) return;
    this.isWorking = true;
    // Whoever arrives in this turn of the event loop shares the first statement.
    await nextTurn();
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.most);
      const earliest = performance.now() - WAIT_MS;
      for (const { since, reject } of batch) if (since < earliest) reject(timedOut());
      await this.serve(batch.filter(({ since }) => since >= earliest));
    }
    this.isWorking = false;
  }

  private async serve(batch: Waiting<Wish, Answer>[]): Promise<void> {
    if (batch.length === 0) return;
    try {
      const answers = await this.carryOut(batch.map(({ wish }) => wish));
      batch.forEach(({ resolve }, index) => resolve(answers[index] as Answer));
    } catch (error) {
      // What the server refused it has not done: then only the one that fails fails. Without an answer nobody knows, and what
      // is no wish's fault would befall each of them again.
      const isOnesFault = sqlState(error) !== null && !isTransient(error) && !isDatabaseAway(error);
      if (batch.length > 1 && isOnesFault) for (const one of batch) await this.serve([one]);
      else for (const { reject } of batch) reject(error);
    }
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import { sqlState } from './failures.js';

interface Waiting<Wish, Answer> {
  wish: Wish;
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

  /** Waits for the statement that is run, and for those of whoever came before, at most so many in each. @throws what its own throws */
  ask(wish: Wish): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ wish, resolve, reject });
      void this.work();
    });
  }

  private async work(): Promise<void> {
    if (this.isWorking) return;
    this.isWorking = true;
    // Whoever arrives in this turn of the event loop shares the first statement.
    await nextTurn();
    while (this.waiting.length > 0) await this.serve(this.waiting.splice(0, this.most));
    this.isWorking = false;
  }

  private async serve(batch: Waiting<Wish, Answer>[]): Promise<void> {
    try {
      const answers = await this.carryOut(batch.map(({ wish }) => wish));
      batch.forEach(({ resolve }, index) => resolve(answers[index] as Answer));
    } catch (error) {
      // What the server refused it has not done: then only the one that fails fails. Without an answer nobody knows.
      if (batch.length > 1 && sqlState(error) !== null) for (const one of batch) await this.serve([one]);
      else for (const { reject } of batch) reject(error);
    }
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Answered, Order } from './idempotency.js';
import { isTimer, type Outcome } from './model.js';

/** A command that waits for its turn, and who to tell. */
export interface Waiting extends Order {
  /** `performance.now()` when it arrived. */
  readonly since: number;
  readonly resolve: (outcome: Outcome | Answered) => void;
  readonly reject: (error: unknown) => void;
}

/** A line of commands in order of arrival, and one loop that carries them out batch after batch. */
export class Lane {
  private waiting: Waiting[] = [];
  private working: Promise<void> | null = null;

  /**
   * @param serve carries out one batch: takes what it can with {@link take} and answers it. Never rejects.
   * @param onIdle called when nothing waits any more
   */
  constructor(
    private readonly serve: (lane: Lane) => Promise<void>,
    private readonly onIdle: () => void = () => undefined,
  ) {}

  get length(): number {
    return this.waiting.length;
  }

  /** Nothing waits, and nothing is in work. */
  get isIdle(): boolean {
    return this.working === null;
  }

  /** Puts commands at the end of the line, and starts the loop where it rests. */
  add(...commands: Waiting[]): void {
    this.waiting.push(...commands);
    this.working ??= this.work();
  }

  /** The first in line, who stay there. */
  peek(most: number): readonly Waiting[] {
    return this.waiting.slice(0, most);
  }

  take(most: number): Waiting[] {
    return this.waiting.splice(0, most);
  }

  /** Takes out, and returns, the first in line as far as they are wanted. */
  takeWhile(isWanted: (waiting: Waiting) => boolean): Waiting[] {
    const end = this.waiting.findIndex((waiting) => !isWanted(waiting));
    return this.waiting.splice(0, end < 0 ? this.waiting.length : end);
  }

  /** Takes out, and returns, the requests that came before `since`. Timers wait as long as it takes. */
  takeRequestsOlderThan(since: number): Waiting[] {
    return this.takeWhere((waiting) => waiting.since < since && !isTimer(waiting.command));
  }

  /** Takes out, and returns, the timers. */
  takeTimers(): Waiting[] {
    return this.takeWhere((waiting) => isTimer(waiting.command));
  }

  /** Resolves when nothing waits and nothing is in work. */
  async idle(): Promise<void> {
    while (this.working !== null) await this.working;
  }

  private takeWhere(isWanted: (waiting: Waiting) => boolean): Waiting[] {
    const wanted = this.waiting.filter(isWanted);
    if (wanted.length > 0) this.waiting = this.waiting.filter((waiting) => !isWanted(waiting));
    return wanted;
  }

  private async work(): Promise<void> {
    // Whoever arrives in this turn of the event loop shares the first batch.
    await nextTurn();
    while (this.waiting.length > 0) await this.serve(this);
    this.working = null;
    this.onIdle();
  }
}

/** What one transaction takes out of a lane, once it is ready for it. Tried again, it is the same. */
export class Batch {
  private commands: Waiting[] | null = null;

  constructor(
    private readonly lane: Pick<Lane, 'peek' | 'take'>,
    private readonly most: number,
    private readonly onTaken: (waiting: Waiting) => void,
  ) {}

  get isTaken(): boolean {
    return this.commands !== null;
  }

  /** What was taken; nothing before {@link take}. */
  get taken(): readonly Waiting[] {
    return this.commands ?? [];
  }

  /** What was taken; before that, what would be taken now. */
  peek(): readonly Waiting[] {
    return this.commands ?? this.lane.peek(this.most);
  }

  take(): readonly Waiting[] {
    if (this.commands === null) {
      this.commands = this.lane.take(this.most);
      this.commands.forEach(this.onTaken);
    }
    return this.commands;
  }

  /** Two batches, in the same order, of one that was taken. */
  split(): [Batch, Batch] {
    const half = Math.ceil(this.taken.length / 2);
    return [this.part(this.taken.slice(0, half)), this.part(this.taken.slice(half))];
  }

  /** What was taken once stays taken: a part that were only taken later could be forgotten before. */
  private part(commands: Waiting[]): Batch {
    const batch = new Batch(this.lane, commands.length, this.onTaken);
    batch.commands = commands;
    return batch;
  }
}

/** Lets so many work at once; the others wait their turn. */
export class Slots {
  private readonly turns: (() => void)[] = [];

  constructor(private free: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((turn) => this.turns.push(turn));
    try {
      return await work();
    } finally {
      const next = this.turns.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}

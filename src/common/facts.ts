import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

/**
 * Something that happens, told to whoever wants to know. Who tells it knows nobody who listens, and where nobody does it
 * costs nothing. A listener is called at once, and must not throw: that would end the process.
 */
export class Fact<T> {
  private readonly channel;

  constructor(name: string) {
    this.channel = channel(`conference-booking.${name}`);
  }

  /** Whether anybody listens: what is made only to be told need not be made. */
  get isHeard(): boolean {
    return this.channel.hasSubscribers;
  }

  tell(what: T): void {
    this.channel.publish(what);
  }

  /** Calls `listener` each time. Returns the function that ends it. */
  listen(listener: (what: T) => void): () => void {
    const onMessage = (message: unknown): void => listener(message as T);
    subscribe(this.channel.name, onMessage);
    return () => unsubscribe(this.channel.name, onMessage);
  }
}

/** A person's command has been answered. */
export const commandAnswered = new Fact<{
  readonly command: 'book' | 'confirm' | 'cancel';
  /** The status that the booking has by it, `REPLAYED`, or the code of the error. */
  readonly outcome: string;
}>('command.answered');

/** A transaction has carried out a batch of commands, and committed. */
export const batchCommitted = new Fact<{
  /** How many commands, timers' looks among them; those that were passed over are not. */
  readonly commands: number;
  /** From when its commands were taken. */
  readonly durationMs: number;
  readonly transitions: readonly { readonly reason: string }[];
  /** How late what was due was dealt with, ms, by the database's clock: each missed offer, and each start. */
  readonly lateness: { readonly offers: readonly number[]; readonly starts: readonly number[] };
}>('batch.committed');

export const TIMER_EVENTS = [
  /** The broker has it. */
  'published',
  /** The broker did not take it: it is owed, and tried again. */
  'failed',
  /** It had no queue: it is lost. */
  'returned',
  /** Too many were owed: it is lost. */
  'dropped',
  /** It came, and was dealt with, also where that was to set it again. */
  'handled',
  /** It came before its time, and was set again for the rest of it. */
  'rehopped',
  /** It came while something was away, and was set again. */
  'retried',
] as const;
export type TimerEvent = (typeof TIMER_EVENTS)[number];

/** Something happened to a timer. */
export const timerMoved = new Fact<TimerEvent>('timer.moved');

/** The sweep dealt with rows that were overdue by more than a timer ever is late, while the broker was up. */
export const timersMadeUpFor = new Fact<{ readonly what: 'offer' | 'start'; readonly count: number }>(
  'timers.made-up-for',
);

/** A message that is no timer, or that cannot be dealt with, went to the parked queue. */
export const messageParked = new Fact<void>('message.parked');

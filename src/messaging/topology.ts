import type { Channel, Options } from 'amqplib';
import type { Environment } from '../config/environment.js';
import { delayRungs, rungFor } from './delays.js';

export type Broker = NonNullable<Environment['broker']>;

const PRECONDITION_FAILED = 406;

/** The parked queue is for people to look at; beyond this many messages the oldest goes. */
const MAX_PARKED = 10_000;

/** A queue exists with other arguments than ours; the broker has closed the channel. */
export class QueueMismatchError extends Error {
  constructor(queue: string, detail: string) {
    super(
      `Queue "${queue}" exists on the broker with other arguments: delete it, or go back to the RABBITMQ_QUEUE_TYPE ` +
        `it was made with, or set another RABBITMQ_QUEUE_PREFIX; until then the sweep keeps time (${detail})`,
    );
    this.name = 'QueueMismatchError';
  }
}

/**
 * The queues of the timers. One delay queue per rung, whose time to live is part of its name, dead-letters into the
 * work queue; the work queue dead-letters what is refused into the parked queue.
 */
export class TimerTopology {
  readonly workQueue: string;
  readonly parkedQueue: string;
  readonly rungs: readonly number[];
  private readonly prefix: string;
  private readonly queueType: Broker['queueType'];

  constructor(broker: Pick<Broker, 'queuePrefix' | 'queueType'>, windowMs: number) {
    this.prefix = broker.queuePrefix;
    this.queueType = broker.queueType;
    this.workQueue = `${this.prefix}.timers`;
    this.parkedQueue = `${this.workQueue}.parked`;
    this.rungs = delayRungs(windowMs);
  }

  /** Every queue's name, and how it is declared; those that others dead-letter into come first. */
  get queues(): { name: string; options: Options.AssertQueue }[] {
    return [
      { name: this.parkedQueue, options: this.declaration({ 'x-max-length': MAX_PARKED }) },
      { name: this.workQueue, options: this.workQueueOptions },
      ...this.rungs.map((rung) => ({
        name: this.delayQueue(rung),
        options: this.declaration({ 'x-message-ttl': rung, ...deadLetterTo(this.workQueue) }),
      })),
    ];
  }

  get workQueueOptions(): Options.AssertQueue {
    return this.declaration(deadLetterTo(this.parkedQueue));
  }

  /** Where a message goes that is due in `remainingMs`: a delay queue, or the work queue when none is short enough. */
  queueFor(remainingMs: number): string {
    const rung = rungFor(remainingMs, this.rungs);
    return rung === null ? this.workQueue : this.delayQueue(rung);
  }

  /**
   * Declares all queues; those that exist already stay as they are.
   * @throws QueueMismatchError
   */
  async declare(channel: Channel): Promise<void> {
    for (const { name, options } of this.queues) {
      try {
        await channel.assertQueue(name, options);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === PRECONDITION_FAILED) {
          throw new QueueMismatchError(name, error.message);
        }
        throw error;
      }
    }
  }

  private delayQueue(rung: number): string {
    return `${this.prefix}.delay.${rung}`;
  }

  private declaration(queueArguments: Record<string, unknown>): Options.AssertQueue {
    return { durable: true, arguments: { 'x-queue-type': this.queueType, ...queueArguments } };
  }
}

/** By way of the default exchange, which routes to the queue of that name. */
function deadLetterTo(queue: string): Record<string, string> {
  return { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue };
}

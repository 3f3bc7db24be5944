import { type Channel, type ChannelModel, connect } from 'amqplib';
import { parseEnvironment } from '../../../src/config/environment.js';
import { TimerTopology } from '../../../src/messaging/topology.js';
import { eventually } from '../../support/eventually.js';
import type { Backstage } from '../../support/seating.js';

export const TIMERS = ['confirmation.expired', 'conference.starts'] as const;
export type TimerPattern = (typeof TIMERS)[number];

const DAY_MS = 86_400_000;
const LOOK_TIMEOUT_MS = 30_000;

/** What has the service look at a conference, now that a test has moved its time. */
export interface Clock {
  /**
   * Whether whatever is due is found at once, whether a test asks for it or not. Otherwise nobody looks before
   * {@link look} is called: a timer may be late.
   */
  readonly isPrompt: boolean;
  /** Resolves when the service has looked. */
  look(conferenceId: number, as: TimerPattern, backstage: Backstage): Promise<void>;
  close(): Promise<void>;
}

/**
 * Timers of a test's own, on the service's queue. Each of them says that it is due in two days: the service looks, then
 * sets it again for later; and when it comes to the queue for that, the look is over. So nothing is waited for blindly.
 */
export class TimerClock implements Clock {
  readonly isPrompt = false;
  private readonly done = new Map<string, () => void>();
  private dueAt = Date.now() + 2 * DAY_MS;

  private constructor(
    private readonly connection: ChannelModel,
    private readonly channel: Channel,
    private readonly topology: TimerTopology,
  ) {}

  /** @param env the variables of a service that uses these queues and no other does */
  static async open(env: Record<string, string>): Promise<TimerClock> {
    const { broker, offers } = parseEnvironment(env);
    if (broker === null) throw new Error('This environment has no broker');
    const topology = new TimerTopology(broker, offers.windowMs);
    const connection = await connect(broker.url);
    const channel = await connection.createChannel();
    await topology.declare(channel);
    const clock = new TimerClock(connection, channel, topology);
    await channel.consume(topology.queueFor(DAY_MS), (message) => clock.arrived(message?.content), { noAck: true });
    return clock;
  }

  async look(conferenceId: number, as: TimerPattern): Promise<void> {
    const due = new Date((this.dueAt += 1)).toISOString();
    const data = { conference_id: conferenceId, due_at: due };
    const looked = new Promise<void>((resolve) => this.done.set(due, resolve));
    this.channel.sendToQueue(this.topology.workQueue, Buffer.from(JSON.stringify({ pattern: as, data })), {
      persistent: true,
    });
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const error = new Error(
        `Nobody looked at conference ${conferenceId} within ${LOOK_TIMEOUT_MS / 1000} s of its timer`,
      );
      timer = setTimeout(() => reject(error), LOOK_TIMEOUT_MS);
    });
    try {
      await Promise.race([looked, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    for (const { name } of this.topology.queues) await this.channel.deleteQueue(name);
    await this.connection.close();
  }

  /** A timer that is a day away or more; those of conferences' starts are among them. */
  private arrived(content: Buffer | undefined): void {
    if (content === undefined) return;
    const { data } = JSON.parse(content.toString()) as { data: { due_at: string } };
    this.done.get(data.due_at)?.();
    this.done.delete(data.due_at);
  }
}

/** The sweep of a service that has no broker: it finds what is due by itself, soon. */
export class SweepClock implements Clock {
  readonly isPrompt = true;

  async look(conferenceId: number, _as: TimerPattern, backstage: Backstage): Promise<void> {
    await eventually(
      async () => {
        const due = await backstage.query(
          `SELECT FROM conferences WHERE conference_id = $1 AND starts_at <= now() AND waitlist_closed_at IS NULL
           UNION ALL
           SELECT FROM bookings WHERE conference_id = $1 AND status = 'ConfirmationPending' AND confirmation_deadline <= now()`,
          [conferenceId],
        );
        expect(due).toHaveLength(0);
      },
      { timeoutMs: LOOK_TIMEOUT_MS, intervalMs: 10 },
    );
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

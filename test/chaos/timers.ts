import { type Channel, connect } from 'amqplib';
import { parseEnvironment } from '../../src/config/environment.js';
import { TimerTopology } from '../../src/messaging/topology.js';
import { eventually } from '../support/eventually.js';

const BACK_WITHIN_MS = 60_000;

/** The timers' queues, past every proxy and every instance. */
export class TimerQueues {
  private readonly topology: TimerTopology;

  constructor(
    private readonly url: string,
    env: Record<string, string>,
  ) {
    const { broker, offers } = parseEnvironment({ ...env, RABBITMQ_URL: url });
    if (broker === null) throw new Error('This environment has no broker');
    this.topology = new TimerTopology(broker, offers.windowMs);
  }

  /** Resolves when so many instances consume timers. */
  async whenConsumed(consumers: number): Promise<void> {
    await eventually(
      () =>
        this.onChannel(async (channel) => {
          const { consumerCount } = await channel.checkQueue(this.topology.workQueue);
          if (consumerCount !== consumers) throw new Error(`${consumerCount} of ${consumers} consume timers`);
        }),
      { timeoutMs: BACK_WITHIN_MS, intervalMs: 50 },
    );
  }

  /** Loses every timer that waits; resolves to how many there were. */
  purge(): Promise<number> {
    return this.onChannel(async (channel) => {
      let count = 0;
      for (const queue of this.delayQueues) count += (await channel.purgeQueue(queue)).messageCount;
      return count;
    });
  }

  /** Has every timer that waits come twice more; resolves to how many there were. */
  triple(): Promise<number> {
    return this.onChannel(async (channel) => {
      let count = 0;
      for (const queue of this.delayQueues) {
        const { messageCount } = await channel.checkQueue(queue);
        for (let index = 0; index < messageCount; index++) {
          const message = await channel.get(queue);
          if (message === false) break;
          for (let copy = 0; copy < 2; copy++) channel.sendToQueue(queue, message.content, { persistent: true });
          count += 1;
        }
        // Back to where they were, with what remains of their time.
        channel.nackAll(true);
      }
      return count;
    });
  }

  private get delayQueues(): string[] {
    return this.topology.rungs.map((rung) => this.topology.queueFor(rung));
  }

  /** On a channel of its own: one outlives no restart of the broker. */
  private async onChannel<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const connection = await connect(this.url, { timeout: 5_000 });
    connection.on('error', () => undefined);
    try {
      const channel = await connection.createConfirmChannel();
      channel.on('error', () => undefined);
      const result = await work(channel);
      await channel.waitForConfirms();
      return result;
    } finally {
      await connection.close().catch(() => undefined);
    }
  }
}

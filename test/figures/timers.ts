import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { parseEnvironment } from '../../src/config/environment.js';
import { CONFIRMATION_EXPIRED, toTimerPayload } from '../../src/messaging/timers.js';
import { TimerTopology } from '../../src/messaging/topology.js';
import type { House } from './house.js';

/** A way to set timers as the instance of a house sets them; nothing is done where it has no broker. */
export class Timers {
  private constructor(
    private readonly connection: ChannelModel,
    private readonly channel: ConfirmChannel,
    private readonly queue: string,
  ) {}

  static async open({ environment: { broker, offers } }: House): Promise<Timers | null> {
    if (broker === null) return null;
    const queue = new TimerTopology(broker, offers.windowMs).queueFor(offers.windowMs);
    const connection = await connect(broker.url);
    return new Timers(connection, await connection.createConfirmChannel(), queue);
  }

  /**
   * Sets one for the offers of each of the conferences 1 to `conferences`, due in a window's time.
   * @param dueAt ms since 1970 by the database's clock
   */
  async set(conferences: number, dueAt: number): Promise<void> {
    for (let conferenceId = 1; conferenceId <= conferences; conferenceId++) {
      const data = toTimerPayload({ pattern: CONFIRMATION_EXPIRED, conferenceId, dueAt });
      const message = Buffer.from(JSON.stringify({ pattern: CONFIRMATION_EXPIRED, data }));
      this.channel.sendToQueue(this.queue, message, { persistent: true });
    }
    await this.channel.waitForConfirms();
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}

/** Deletes the queues of an instance that was told this of them, where it had a broker. */
export async function deleteQueues(variables: Record<string, string>): Promise<void> {
  const { broker, offers } = parseEnvironment(variables);
  if (broker === null) return;
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  for (const { name } of new TimerTopology(broker, offers.windowMs).queues) await channel.deleteQueue(name);
  await connection.close();
}

import { randomBytes } from 'node:crypto';
import { type Channel, type ChannelModel, connect, type Options } from 'amqplib';
import { ApiClient } from '../../src/cli/api-client.js';
import { World } from '../../src/cli/scenarios/world.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { TimerTopology } from '../../src/messaging/topology.js';
import { eventually } from '../support/eventually.js';
import type { Service } from '../support/processes.js';
import type { Backstage } from '../support/seating.js';

/** The timers' queues of one test file: what its services are to be told of them, and a look past the services. */
export class Queues {
  /** The variables of a service that uses these queues. */
  readonly env: Record<string, string>;
  private readonly topology: TimerTopology;
  /** Whether a timer had been delivered before it was first looked at, by its content. */
  private readonly firstSeen = new Map<string, boolean>();

  private constructor(
    private readonly connection: ChannelModel,
    private readonly channel: Channel,
    url: string,
    windowSeconds: number,
  ) {
    this.env = {
      RABBITMQ_URL: url,
      RABBITMQ_QUEUE_PREFIX: `e2e-${randomBytes(6).toString('hex')}`,
      CONFIRMATION_WINDOW_SECONDS: String(windowSeconds),
    };
    const { broker, offers } = parseEnvironment(this.env);
    if (broker === null) throw new Error('This environment has no broker');
    this.topology = new TimerTopology(broker, offers.windowMs);
  }

  /** Queues that nobody else uses; declared by the first service, or by {@link declare}. */
  static async open(windowSeconds: number, url = process.env.TEST_RABBITMQ_URL ?? ''): Promise<Queues> {
    const connection = await connect(url);
    // A test that kills the broker cuts this connection, too.
    connection.on('error', () => undefined);
    return new Queues(connection, await connection.createChannel(), url, windowSeconds);
  }

  declare(): Promise<void> {
    return this.topology.declare(this.channel);
  }

  /** Timers that wait in the delay queues: all of them, or only those in the queue of so many ms. */
  async countDelayed(rungMs?: number): Promise<number> {
    const queues = this.topology.rungs
      .filter((rung) => rungMs === undefined || rung === rungMs)
      .map((rung) => this.topology.queueFor(rung));
    let count = 0;
    for (const queue of queues) count += (await this.channel.checkQueue(queue)).messageCount;
    return count;
  }

  /** Timers that have come and that nobody has taken. */
  async countDue(): Promise<number> {
    return (await this.channel.checkQueue(this.topology.workQueue)).messageCount;
  }

  /** Messages that were refused for good. */
  async countParked(): Promise<number> {
    return (await this.channel.checkQueue(this.topology.parkedQueue)).messageCount;
  }

  /** Puts a message where due timers are, whatever it is. */
  send(content: Buffer, properties: Options.Publish = {}): void {
    this.channel.sendToQueue(this.topology.workQueue, content, properties);
  }

  /** Resolves when so many instances consume timers. */
  async whenConsumed(consumers = 1): Promise<void> {
    await eventually(async () => {
      expect((await this.channel.checkQueue(this.topology.workQueue)).consumerCount).toBe(consumers);
    });
  }

  /** Takes the timers that have come; resolves to how many of them had been delivered to somebody before. */
  async takeDue(): Promise<{ taken: number; redelivered: number }> {
    const counts = { taken: 0, redelivered: 0 };
    for (;;) {
      const message = await this.channel.get(this.topology.workQueue, { noAck: true });
      if (message === false) return counts;
      counts.taken += 1;
      if (message.fields.redelivered) counts.redelivered += 1;
    }
  }

  /** Timers that have come and wait to be taken again: they had been delivered to a service, and never acknowledged. */
  async countRedelivered(): Promise<number> {
    let count = 0;
    for (;;) {
      const message = await this.channel.get(this.topology.workQueue);
      if (message === false) break;
      const timer = message.content.toString();
      // From its second look on, it is this very look that makes it a redelivered one.
      const wasRedelivered = this.firstSeen.get(timer) ?? message.fields.redelivered;
      this.firstSeen.set(timer, wasRedelivered);
      if (wasRedelivered) count += 1;
    }
    // Back to where they were.
    this.channel.nackAll(true);
    return count;
  }

  /** Loses every timer that waits; resolves to how many there were. */
  async purgeDelayed(): Promise<number> {
    let count = 0;
    for (const rung of this.topology.rungs) {
      count += (await this.channel.purgeQueue(this.topology.queueFor(rung))).messageCount;
    }
    return count;
  }

  /** Deletes the queues. */
  async close(): Promise<void> {
    for (const { name } of this.topology.queues) await this.channel.deleteQueue(name);
    await this.connection.close();
  }
}

/** A visitor of a service: makes people and conferences, and books. Close its `api` at the end. */
export function visit({ url }: Pick<Service, 'url'>): World {
  return new World(new ApiClient(new URL(url)));
}

/**
 * One conference with so many slots, all confirmed and canceled again while one more waits than there are slots: so many
 * offers, which go round among the same people as long as nobody takes one.
 * @returns the bookings that were offered a slot first
 */
export async function openOffers(world: World, count: number, startMs?: number): Promise<number[]> {
  const conference = await world.conference({ slots: count, ...(startMs === undefined ? {} : { startMs }) });
  const users = await world.severalUsers(2 * count + 1);
  const confirmed: number[] = [];
  const waiting: number[] = [];
  for (const user of users.slice(0, count)) confirmed.push(await world.bookConfirmed(user, conference));
  for (const user of users.slice(count)) {
    waiting.push(await world.bookWaitlisted(user, conference, waiting.length + 1));
  }
  await Promise.all(confirmed.map((bookingId) => world.cancelActive(bookingId)));
  return waiting.slice(0, count);
}

/** How late every offer that was missed was ended, ms, by the database's clock: the deadline is a window after the offer. */
export async function latenessOfMissed(backstage: Pick<Backstage, 'query'>, windowSeconds: number): Promise<number[]> {
  const rows = await backstage.query<{ late: number }>(
    `SELECT (extract(epoch FROM at - offered_at) - $1)::float8 * 1000 AS late FROM (
       SELECT *, lag(at) OVER (PARTITION BY booking_id ORDER BY transition_id) AS offered_at FROM booking_transitions
     ) chain WHERE reason = 'missed' ORDER BY late`,
    [windowSeconds],
  );
  return rows.map(({ late }) => late);
}

/** How late the starts of conferences were dealt with, ms, by the database's clock. */
export async function latenessOfStarts(backstage: Backstage): Promise<number[]> {
  const rows = await backstage.query<{ late: number }>(
    `SELECT extract(epoch FROM max(t.at) - c.starts_at)::float8 * 1000 AS late
     FROM booking_transitions t JOIN bookings USING (booking_id) JOIN conferences c USING (conference_id)
     WHERE t.reason = 'conference_started' GROUP BY c.conference_id ORDER BY late`,
  );
  return rows.map(({ late }) => late);
}

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { ServerRMQ, type ReadPacket, type RmqContext } from '@nestjs/microservices';
import type { ConfirmChannel } from 'amqplib';
import { Acknowledger, park } from './acknowledger.js';
import { BrokerChannel } from './broker-channel.js';
import { TimerDeserializer } from './timer.deserializer.js';
import type { Broker, TimerTopology } from './topology.js';
import { within } from './within.js';

/** Enough for all that wait out their last second in the process, beside a batch of the box office. */
const PREFETCH = 1_000;
const CANCEL_TIMEOUT_MS = 1_000;
const DRAIN_TIMEOUT_MS = 5_000;

/**
 * Nest's RabbitMQ transport on the timers' work queue, with what it lacks made up for: there, queue arguments that
 * differ, or a connection that is lost while it starts to consume, end the process; a consumer that the broker
 * cancelled stays away; and closing cuts handlers off.
 */
export class TimerServer extends ServerRMQ implements BeforeApplicationShutdown {
  private readonly consumerTag = `timers.${hostname()}.${process.pid}.${randomUUID()}`;
  private readonly log = new Logger(TimerServer.name);
  private readonly broker: BrokerChannel;
  private consuming: ConfirmChannel | null = null;
  private isEnding = false;
  private onListening: (() => void) | undefined;

  constructor(
    broker: Broker,
    private readonly topology: TimerTopology,
    private readonly acknowledger: Acknowledger,
  ) {
    super({ queue: topology.workQueue, noAck: false, deserializer: new TimerDeserializer() });
    this.broker = new BrokerChannel({
      url: broker.url,
      name: `${broker.queuePrefix} timer consumer`,
      logger: this.log,
      setUp: (channel) => this.consume(channel),
    });
  }

  /** Whether it takes deliveries at the moment. */
  get isConsuming(): boolean {
    return this.broker.isUp && !this.isEnding;
  }

  /** Calls back when it first consumes; that may be long after, when the broker is down. */
  override start(callback?: () => void): Promise<void> {
    this.onListening = callback;
    if (!this.isEnding) this.broker.open();
    return Promise.resolve();
  }

  override async handleEvent(pattern: string, packet: ReadPacket, context: RmqContext): Promise<void> {
    if (this.getHandlerByPattern(pattern) === null) {
      park(context, this.log, 'it is no event that has a handler here');
      return;
    }
    await super.handleEvent(pattern, packet, context);
  }

  /** Takes no more deliveries, and awaits those in hand, for at most 6 s in all; the rest goes back to the queue. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isEnding = true;
    if (this.consuming !== null) await within(this.consuming.cancel(this.consumerTag), CANCEL_TIMEOUT_MS);
    await within(this.acknowledger.drain(), DRAIN_TIMEOUT_MS);
  }

  override async close(): Promise<void> {
    this.isEnding = true;
    await this.broker.close();
  }

  private async consume(channel: ConfirmChannel): Promise<void> {
    await this.topology.declare(channel);
    if (this.isEnding) return;
    await channel.prefetch(PREFETCH);
    this.consuming = channel;
    await channel.consume(
      this.topology.workQueue,
      (message) => {
        // The broker cancels a consumer whose queue is deleted or has moved; the next channel declares it again.
        if (message === null) void channel.close().catch(() => undefined);
        else void this.handleMessage(message, channel).catch((error: unknown) => this.log.error(error));
      },
      { noAck: false, consumerTag: this.consumerTag },
    );
    this.onListening?.();
    this.onListening = undefined;
  }
}

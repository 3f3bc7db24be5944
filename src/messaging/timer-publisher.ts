import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { ConfirmChannel } from 'amqplib';
import { idsToText } from '../common/cause.js';
import { timerMoved } from '../common/facts.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { BrokerChannel } from './broker-channel.js';
import { REQUEST_ID_HEADER, toTimerPayload, TRACEPARENT_HEADER, type Timer } from './timers.js';
import { TimerTopology } from './topology.js';
import { within } from './within.js';

/** `none`: no broker is configured; `down`: one is, and timers cannot be published for now. */
export type BrokerState = 'up' | 'down' | 'none';

const MAX_IN_FLIGHT = 2_000;
/** Published in one turn of the event loop; requests come in between. */
const MAX_PER_TURN = 100;
const MAX_OWED = 10_000;
const PUBLISH_TIMEOUT_MS = 2_000;
const FLUSH_TIMEOUT_MS = 2_000;
const PROBE_AFTER_MS = 1_000;
const COUNT_TIMEOUT_MS = 500;

/** A timer and when it is due by `performance.now()`: the wall clocks of two machines are never compared. */
interface Alarm {
  timer: Timer;
  dueAt: number;
}

/**
 * Sets timers: publishes each into the longest delay queue that fits. It never throws and nobody waits for it: what
 * cannot be published (the broker is down, or does not answer) is owed, and published with what remains of its time
 * when the broker is back. At most 2,000 are in flight and 10,000 owed; beyond that the oldest owed are dropped, and
 * the sweep makes up for them.
 */
@Injectable()
export class TimerPublisher implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TimerPublisher.name);
  private readonly topology: TimerTopology | null = null;
  private readonly broker: BrokerChannel | null = null;
  private readonly owed = new Map<string, Alarm>();
  private readonly inFlight = new Map<string, Promise<void>>();
  private readonly listeners = new Set<(state: BrokerState) => void>();
  /** While a publish has failed and the broker has not answered since. */
  private probing: NodeJS.Timeout | null = null;
  private nextPump: NodeJS.Immediate | null = null;
  private isStalled = false;
  private isClosed = false;
  private toldState: BrokerState;
  private readonly counted = { published: 0, returned: 0, dropped: 0 };

  constructor(@Inject(ENVIRONMENT) environment: Environment) {
    if (environment.broker !== null) {
      this.topology = new TimerTopology(environment.broker, environment.offers.windowMs);
      this.broker = new BrokerChannel({
        url: environment.broker.url,
        name: `${environment.broker.queuePrefix} timer publisher`,
        logger: this.logger,
        setUp: (channel) => this.setUp(channel),
        onChange: () => this.update(),
      });
    }
    this.toldState = this.state;
  }

  get state(): BrokerState {
    if (this.broker === null) return 'none';
    return this.broker.isUp && !this.isStalled ? 'up' : 'down';
  }

  /** Since the start: confirmed by the broker, returned as unroutable, dropped because too many were owed. */
  get counts(): Readonly<{ published: number; returned: number; dropped: number; owed: number; inFlight: number }> {
    return { ...this.counted, owed: this.owed.size, inFlight: this.inFlight.size };
  }

  /** How many messages are in the parked queue; null: there is no broker to tell, or it does not within 0.5 s. */
  async countParked(): Promise<number | null> {
    if (this.broker === null || this.topology === null || this.state !== 'up') return null;
    let count: number | null = null;
    const asked = this.broker.probe(this.topology.parkedQueue).then((found) => (count = found));
    await within(asked, COUNT_TIMEOUT_MS);
    return count;
  }

  /** Calls `listener` after every change of `state`. Returns the function that ends it. */
  onStateChange(listener: (state: BrokerState) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Sets timers, equal ones once. Returns at once and never throws.
   * @param now ms since 1970 by the database's clock at this moment
   */
  schedule(timers: readonly Timer[], now: number): void {
    for (const timer of timers) this.owe(timer, timer.dueAt - now);
    this.pump();
    this.dropOldest();
  }

  /**
   * Sets one timer to come in `delayMs`, whenever it is due. Never rejects.
   * @returns resolves when the broker has it, or when it is owed
   */
  async scheduleIn(timer: Timer, delayMs: number): Promise<void> {
    this.owe(timer, delayMs);
    this.pump();
    this.dropOldest();
    await this.inFlight.get(keyOf(timer));
  }

  onModuleInit(): void {
    this.broker?.open();
  }

  /** Publishes what is owed and awaits what is in flight, for at most 2 s, and closes the connection. */
  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    if (this.broker === null || this.isClosed) return;
    if (this.state === 'up') await within(this.flush(), FLUSH_TIMEOUT_MS);
    this.isClosed = true;
    if (this.probing !== null) clearTimeout(this.probing);
    if (this.nextPump !== null) clearImmediate(this.nextPump);
    const lost = this.owed.size + this.inFlight.size;
    if (lost > 0) this.logger.warn(`${lost} timers could not be published before the end; the sweep makes up for them`);
    await this.broker.close();
  }

  private async flush(): Promise<void> {
    while (this.owed.size + this.inFlight.size > 0 && this.state === 'up') {
      await Promise.all(this.inFlight.values());
      await nextTurn();
    }
  }

  private owe(timer: Timer, remainingMs: number): void {
    if (this.broker === null || this.isClosed) return;
    const key = keyOf(timer);
    if (this.owed.has(key) || this.inFlight.has(key)) return;
    this.owed.set(key, { timer, dueAt: performance.now() + remainingMs });
  }

  /** Publishes what is owed as far as the broker takes it. */
  private pump(): void {
    if (this.nextPump !== null || this.state !== 'up' || this.isClosed) return;
    let room = Math.min(MAX_PER_TURN, MAX_IN_FLIGHT - this.inFlight.size);
    for (const [key, alarm] of this.owed) {
      if (room-- <= 0) break;
      this.owed.delete(key);
      this.inFlight.set(key, this.publish(key, alarm));
    }
    if (this.owed.size === 0 || this.inFlight.size >= MAX_IN_FLIGHT) return;
    this.nextPump = setImmediate(() => {
      this.nextPump = null;
      this.pump();
    });
  }

  private dropOldest(): void {
    for (const key of this.owed.keys()) {
      if (this.owed.size <= MAX_OWED) return;
      this.owed.delete(key);
      this.count('dropped');
      if (this.counted.dropped === 1) {
        this.logger.warn(
          `more than ${MAX_OWED} timers are owed; the oldest are dropped, and the sweep makes up for them`,
        );
      }
    }
  }

  private count(event: keyof typeof this.counted): void {
    this.counted[event]++;
    timerMoved.tell(event);
  }

  private async publish(key: string, alarm: Alarm): Promise<void> {
    try {
      await this.send(alarm);
      this.count('published');
      this.inFlight.delete(key);
    } catch (error) {
      timerMoved.tell('failed');
      this.inFlight.delete(key);
      if (error instanceof RangeError) {
        this.logger.error(`A timer was refused: ${error.message}`, alarm.timer.cause);
        return;
      }
      if (!this.isClosed) this.owed.set(key, alarm);
      this.dropOldest();
      this.stall();
    }
    this.pump();
  }

  private async send({ timer, dueAt }: Alarm): Promise<void> {
    if (this.broker === null || this.topology === null) return;
    const content = Buffer.from(JSON.stringify({ pattern: timer.pattern, data: toTimerPayload(timer) }));
    const queue = this.topology.queueFor(dueAt - performance.now());
    const { cause } = timer;
    const span = cause?.span?.begin({
      name: `publish ${timer.pattern}`,
      kind: 'producer',
      attributes: {
        'messaging.system': 'rabbitmq',
        'messaging.operation.type': 'send',
        'messaging.destination.name': queue,
        'booking.conference_id': timer.conferenceId,
      },
    });
    const headers = {
      ...(cause && { [REQUEST_ID_HEADER]: idsToText(cause) }),
      ...(span && { [TRACEPARENT_HEADER]: span.traceparent }),
    };
    try {
      await this.broker.publish(queue, content, {
        persistent: true,
        mandatory: true,
        headers,
        timeoutMs: PUBLISH_TIMEOUT_MS,
      });
      span?.end();
    } catch (error) {
      span?.end({ failure: 'not confirmed' });
      throw error;
    }
  }

  /** Publishes nothing until the broker has answered something, at least a second later. */
  private stall(): void {
    if (this.isStalled || this.isClosed) return;
    this.isStalled = true;
    if (this.broker?.isUp === true) this.logger.warn('the broker does not confirm; timers are owed until it answers');
    this.probeLater();
    this.update();
  }

  private async probe(): Promise<void> {
    if (this.broker === null || this.topology === null || this.isClosed) return;
    try {
      if (this.broker.isUp) await this.broker.probe(this.topology.workQueue);
      this.isStalled = false;
      this.update();
    } catch {
      this.probeLater();
    }
  }

  private probeLater(): void {
    if (!this.isClosed) this.probing = setTimeout(() => void this.probe(), PROBE_AFTER_MS);
  }

  private async setUp(channel: ConfirmChannel): Promise<void> {
    let isDeclaring = false;
    channel.on('return', () => {
      this.count('returned');
      if (isDeclaring) return;
      this.logger.warn(
        'a timer was returned: its queue is gone; declaring the queues again, the sweep makes up for it',
      );
      isDeclaring = true;
      declare().catch(() => undefined);
    });
    const declare = async (): Promise<void> => {
      await this.topology?.declare(channel);
      isDeclaring = false;
    };
    await declare();
    this.isStalled = false;
    if (this.probing !== null) clearTimeout(this.probing);
  }

  private update(): void {
    const { state } = this;
    if (state !== this.toldState) {
      this.toldState = state;
      for (const listener of this.listeners) listener(state);
    }
    this.pump();
  }
}

function keyOf(timer: Timer): string {
  return `${timer.pattern} ${timer.conferenceId} ${timer.dueAt}`;
}

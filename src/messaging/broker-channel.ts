import type { Logger } from '@nestjs/common';
import { connect, type AmqpConnectionManager, type ChannelWrapper } from 'amqp-connection-manager';
import type { ConfirmChannel, Options } from 'amqplib';
import { QueueMismatchError } from './topology.js';
import { within } from './within.js';

const HEARTBEAT_SECONDS = 5;
const RECONNECT_SECONDS = 1;
const CONNECT_TIMEOUT_MS = 5_000;
const REOPEN_MS = 1_000;
const REOPEN_AFTER_MISMATCH_MS = 10_000;
const CLOSE_TIMEOUT_MS = 1_000;

export interface BrokerChannelOptions {
  url: string;
  /** What the broker lists the connection as, and what the log calls it. */
  name: string;
  logger: Logger;
  /** Makes a new channel ready: after every connect, and after the broker has closed the channel. */
  setUp: (channel: ConfirmChannel) => Promise<void>;
  /** Called after every change of `isUp`. */
  onChange?: () => void;
}

/**
 * One connection with one confirm channel that comes back by itself: after a lost connection in about 1 s, and with a
 * channel that the broker closed in 1 s (10 s where a queue has other arguments). Troubles are logged once per outage.
 */
export class BrokerChannel {
  private manager: AmqpConnectionManager | null = null;
  private wrapper: ChannelWrapper | null = null;
  private reopening: NodeJS.Timeout | null = null;
  private isReady = false;
  private isBlocked = false;
  private isClosed = false;
  private wasUp = false;
  private readonly reported = new Set<string>();

  constructor(private readonly options: BrokerChannelOptions) {}

  /** Whether a channel is set up, and the broker has not said that it takes no messages for now. */
  get isUp(): boolean {
    return this.isReady && !this.isBlocked && !this.isClosed;
  }

  /** Starts to connect, and goes on trying until `close()`. Returns at once. */
  open(): void {
    const manager = connect([this.options.url], {
      heartbeatIntervalInSeconds: HEARTBEAT_SECONDS,
      reconnectTimeInSeconds: RECONNECT_SECONDS,
      connectionOptions: {
        timeout: CONNECT_TIMEOUT_MS,
        noDelay: true,
        clientProperties: { connection_name: this.options.name },
      },
    });
    this.manager = manager;
    manager.on('connectFailed', ({ err }: { err: unknown }) => this.loseConnection(describe(err)));
    manager.on('disconnect', ({ err }: { err: unknown }) => this.loseConnection(describe(err)));
    manager.on('blocked', ({ reason }: { reason: string }) => this.setBlocked(reason));
    manager.on('unblocked', () => this.setBlocked(null));
    this.openChannel(manager);
  }

  /**
   * Publishes through the default exchange.
   * @returns resolves when the broker has confirmed
   * @throws Error `timeout` after `timeoutMs`; otherwise what the broker or the connection says
   */
  async publish(queue: string, content: Buffer, options: Options.Publish & { timeoutMs: number }): Promise<void> {
    if (this.wrapper === null) throw new Error('not connected');
    const { timeoutMs, ...properties } = options;
    await this.wrapper.publish('', queue, content, { ...properties, timeout: timeoutMs });
  }

  /**
   * Resolves when the broker answers, however late, to how many messages are ready in the queue; rejects when the connection
   * is lost or the queue is gone.
   */
  async probe(queue: string): Promise<number> {
    if (this.wrapper === null) throw new Error('not connected');
    return (await this.wrapper.checkQueue(queue)).messageCount;
  }

  /** Ends the connection for good; waits at most 1 s for a broker that does not answer. Never rejects. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.stopReopening();
    if (this.manager !== null) await within(this.manager.close(), CLOSE_TIMEOUT_MS);
  }

  private openChannel(manager: AmqpConnectionManager): void {
    let isSetUp = false;
    const isCurrent = (): boolean => this.wrapper === wrapper;
    const wrapper = manager.createChannel({
      name: this.options.name,
      setup: async (channel: ConfirmChannel) => {
        isSetUp = false;
        // A wrapper that was replaced while it connected.
        if (!isCurrent()) return channel.close();
        let reason = 'closed';
        // Without a listener the whole connection would be torn down.
        channel.on('error', (error) => (reason = describe(error)));
        channel.on('close', () => {
          if (isCurrent()) this.loseChannel(manager, reason);
        });
        await this.options.setUp(channel);
        isSetUp = true;
      },
    });
    this.wrapper = wrapper;
    wrapper.on('connect', () => {
      if (isSetUp && isCurrent()) this.setReady();
    });
    // Without a listener a failed set-up would end the process.
    wrapper.on('error', (error: unknown) => {
      if (!isCurrent()) return;
      if (isConnectionClosed(error)) this.reconnect(manager, describe(error));
      else this.loseChannel(manager, describe(error), error instanceof QueueMismatchError);
    });
  }

  /** The connection may be about to go too; then another channel comes with the next one. */
  private loseChannel(manager: AmqpConnectionManager, reason: string, isMismatch = false): void {
    if (isMismatch) this.report('mismatch', reason);
    this.setDown();
    this.stopReopening();
    if (this.isClosed || !manager.isConnected()) return;
    const delayMs = isMismatch ? REOPEN_AFTER_MISMATCH_MS : REOPEN_MS;
    this.reopening = setTimeout(() => {
      if (!isMismatch) this.report('channel', `the broker closed the channel (${reason}); opening another`);
      const old = this.wrapper;
      this.openChannel(manager);
      old?.close().catch(() => undefined);
    }, delayMs);
  }

  /**
   * The connection is gone, and nobody has said so: where the broker's goodbye comes in one packet with its welcome, it is
   * over before the manager listens, which would hold on to it for good.
   */
  private reconnect(manager: AmqpConnectionManager, reason: string): void {
    this.loseConnection(reason);
    this.reopening = setTimeout(() => {
      if (!this.isClosed) manager.reconnect();
    }, REOPEN_MS);
  }

  private stopReopening(): void {
    if (this.reopening !== null) clearTimeout(this.reopening);
    this.reopening = null;
  }

  private setReady(): void {
    this.isReady = true;
    if (!this.wasUp) this.options.logger.log(`${this.options.name}: connected to the broker at ${this.address}`);
    else if (this.reported.size > 0) this.options.logger.log(`${this.options.name}: the broker is back`);
    this.wasUp = true;
    this.reported.clear();
    this.options.onChange?.();
  }

  private setDown(): void {
    this.isReady = false;
    this.options.onChange?.();
  }

  private loseConnection(reason: string): void {
    // The wrapper makes a channel of its own accord on the next connection.
    this.stopReopening();
    this.isBlocked = false;
    this.report('connection', `the broker at ${this.address} is away (${reason}); trying every ${RECONNECT_SECONDS} s`);
    this.setDown();
  }

  private setBlocked(reason: string | null): void {
    this.isBlocked = reason !== null;
    if (reason !== null) this.report('blocked', `the broker takes no messages for now (${reason})`);
    if (reason === null && this.isReady) this.setReady();
    else this.options.onChange?.();
  }

  private report(kind: 'connection' | 'channel' | 'mismatch' | 'blocked', text: string): void {
    if (this.reported.has(kind) || this.isClosed) return;
    this.reported.add(kind);
    this.options.logger.warn(`${this.options.name}: ${text}`);
  }

  /** The broker's URL without user and password. */
  private get address(): string {
    const { protocol, host, pathname } = new URL(this.options.url);
    return `${protocol}//${host}${pathname}`;
  }
}

/** Whether no channel can be opened because the connection is over. */
function isConnectionClosed(error: unknown): boolean {
  return (
    error instanceof Error && error.name === 'IllegalOperationError' && error.message.startsWith('Connection clos')
  );
}

/** Some errors have only a code (an AggregateError of refused connections), and some are not errors at all. */
function describe(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'connection lost';
  if ('message' in error && typeof error.message === 'string' && error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : 'connection lost';
}

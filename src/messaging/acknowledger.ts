import { setMaxListeners } from 'node:events';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { RmqContext } from '@nestjs/microservices';
import type { Channel, Message } from 'amqplib';
import { AppError } from '../common/app-error.js';
import { Cause, requestIdsFrom } from '../common/cause.js';
import { messageParked, timerMoved } from '../common/facts.js';
import { TRACER, type Tracer } from '../common/spans.js';
import { MalformedTimerError, parseTimer, REQUEST_ID_HEADER, type Timer, TRACEPARENT_HEADER } from './timers.js';
import { TimerPublisher } from './timer-publisher.js';

const RETRY_MS = 1_000;
const PATIENT_RETRY_MS = 10_000;
/** So many failures in a row are an outage rather than a hiccup. */
const OUTAGE_AFTER = 100;

/** A timer that has come. */
export type CausedTimer = Timer & { cause: Cause };

/** Sees to it that no delivery is left unacked, however its handling ends: one that were would eat the prefetch. */
@Injectable()
export class Acknowledger {
  private readonly logger = new Logger(Acknowledger.name);
  private readonly inHand = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  private failuresInARow = 0;

  constructor(
    private readonly publisher: TimerPublisher,
    @Inject(TRACER) private readonly tracer: Tracer | null,
  ) {
    // One for each delivery that waits out its last second.
    setMaxListeners(0, this.ending.signal);
  }

  /**
   * Hands the timer of a delivery to `work`, with the cause that its message names, or else a new one, and settles the
   * delivery. Never rejects.
   * - done: acked
   * - malformed, or failed for a reason that is a bug: parked
   * - failed because something is away (AppError `unavailable`): set again for in 1 s (10 s in an outage), and acked
   * - ended by `signal`, on shutdown: back to the queue
   */
  settle(
    context: RmqContext,
    data: unknown,
    work: (timer: CausedTimer, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const handling = this.handle(context, data, work).finally(() => this.inHand.delete(handling));
    this.inHand.add(handling);
    return handling;
  }

  /** Ends what only waits, and resolves when nothing is in hand any more. Cancel the consumer before. */
  async drain(): Promise<void> {
    this.ending.abort();
    while (this.inHand.size > 0) await Promise.all(this.inHand);
  }

  private async handle(
    context: RmqContext,
    data: unknown,
    work: (timer: CausedTimer, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const cause = this.causeOf(context);
    let failure: string | null = null;
    try {
      failure = await this.carryOut(context, data, work, cause);
    } finally {
      cause.span?.end(failure === null ? {} : { failure });
    }
  }

  private causeOf(context: RmqContext): Cause {
    const { properties, fields } = context.getMessage() as Message;
    const headers: Readonly<Record<string, unknown>> = properties.headers ?? {};
    const start = {
      name: `process ${context.getPattern()}`,
      kind: 'consumer',
      attributes: {
        'messaging.system': 'rabbitmq',
        'messaging.operation.type': 'process',
        'messaging.destination.name': fields.routingKey,
      },
    } as const;
    return new Cause(
      requestIdsFrom(headers[REQUEST_ID_HEADER]),
      this.tracer?.begin(start, headers[TRACEPARENT_HEADER]) ?? null,
    );
  }

  /** @returns why it failed; null where it did not */
  private async carryOut(
    context: RmqContext,
    data: unknown,
    work: (timer: CausedTimer, signal: AbortSignal) => Promise<void>,
    cause: Cause,
  ): Promise<string | null> {
    let timer: CausedTimer;
    try {
      timer = { ...parseTimer(context.getPattern(), data), cause };
    } catch (error) {
      park(context, this.logger, error instanceof MalformedTimerError ? error.message : String(error), cause);
      return 'malformed';
    }
    try {
      await work(timer, this.ending.signal);
      this.failuresInARow = 0;
      timerMoved.tell('handled');
    } catch (error) {
      if (this.ending.signal.aborted && isAbort(error)) {
        settleOn(context, (channel, message) => channel.nack(message, false, true));
        return 'stopping';
      }
      if (!(error instanceof AppError && error.kind === 'unavailable')) {
        this.logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error), cause);
        park(context, this.logger, `its handling failed for conference ${timer.conferenceId}`, cause);
        return 'failed';
      }
      const delayMs = ++this.failuresInARow > OUTAGE_AFTER ? PATIENT_RETRY_MS : RETRY_MS;
      if (this.failuresInARow === 1)
        this.logger.warn(`A timer could not be handled (${error.message}); it is tried again`, cause);
      timerMoved.tell('retried');
      await this.publisher.scheduleIn(timer, delayMs);
      settleOn(context, (channel, message) => channel.ack(message));
      return error.code;
    }
    settleOn(context, (channel, message) => channel.ack(message));
    return null;
  }
}

function isAbort(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'name' in error && error.name === 'AbortError';
}

/** Refuses a delivery for good: the broker moves it to the parked queue. */
export function park(context: RmqContext, logger: Logger, reason: string, cause?: Cause): void {
  logger.warn(`A message was parked: ${reason}`, cause);
  messageParked.tell();
  settleOn(context, (channel, message) => channel.nack(message, false, false));
}

/** On the very channel that delivered: it throws where that was lost meanwhile, and then the message comes again. */
function settleOn(context: RmqContext, settle: (channel: Channel, message: Message) => void): void {
  try {
    settle(context.getChannelRef() as Channel, context.getMessage() as Message);
  } catch {
    // Twice is harmless.
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { AppError, overloaded, timedOut } from '../common/app-error.js';
import { Cause } from '../common/cause.js';
import { commandAnswered } from '../common/facts.js';
import type { SpanEnd } from '../common/spans.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { databaseUnavailable, isDatabaseAway, isTransient, violatedConstraint } from '../database/failures.js';
import { TimerPublisher } from '../messaging/timer-publisher.js';
import { CONFIRMATION_EXPIRED } from '../messaging/timers.js';
import type { Answered, Idempotency } from './idempotency.js';
import { Batch, Lane, Slots, type Waiting } from './lane.js';
import {
  type Command,
  type Instant,
  isTimer,
  type Outcome,
  type Refusal,
  type RequestCommand,
  type TimerCommand,
} from './model.js';
import { REFUSALS } from './refusals.js';
import type { BusyConference } from './seating-locks.js';
import { type SeatingRequest, type SeatingResult, SeatingTransaction } from './seating-transaction.js';

/** At most so many commands in one transaction. */
const BATCH = 256;
/** At most so many conferences that timers look at in one transaction. */
const TIMER_BATCH = 16;
/** A command waits at most so long to be taken, then it is refused and never carried out. */
const WAIT_MS = 5_000;
const WAITING_MOST = 10_000;
/** So many callers are answered before anything else is looked at. */
const ANSWERS_PER_TURN = 32;
/** A batch of so many for one conference is a crowd: another instance that has one, too, is going to have the lock again. */
const CROWD = 32;
/** The lane of a crowd stays so long, ms, before its conference is tried without one. */
const CROWDED_LANE_MS = 1_000;
/** At most so many connections wait for the locks of busy conferences at once. */
const BUSY_CONNECTIONS = 3;
/** Before a batch is tried again of which nothing could be done. */
const RETRY_PAUSE_MS = 5;
const TRIES = 3;
/** When looks have been ended, one that waits for a lock has so long still. */
const LAST_LOOK_MS = 1_000;

export type BookedOutcome = Extract<Outcome, { kind: 'booked' }>;

/**
 * The one door through which seats change. Commands gather while a transaction runs; the next one carries them all.
 * There is one lane for requests, one for timers (which cause no refusals), and one for each conference whose lock
 * somebody else holds, so that a busy conference holds up no other.
 */
@Injectable()
export class BoxOffice implements OnApplicationShutdown {
  private readonly logger = new Logger(BoxOffice.name);
  private readonly requests = new Lane((lane) => this.serveRequests(lane));
  private readonly timers = new Lane((lane) => this.serve(lane, this.batchOf(lane, TIMER_BATCH), {}));
  private readonly busyLanes = new Map<number, BusyLane>();
  private readonly timersWaiting = new Map<string, Promise<Outcome | Answered>>();
  private readonly busySlots: Slots;
  /** When looks were ended, by `performance.now()`. */
  private looksEndedAt = Infinity;
  private readonly clock: NodeJS.Timeout;

  constructor(
    private readonly transaction: SeatingTransaction,
    private readonly publisher: TimerPublisher,
    @Inject(ENVIRONMENT) environment: Environment,
  ) {
    this.busySlots = new Slots(Math.max(1, Math.min(BUSY_CONNECTIONS, Math.floor(environment.database.poolMax / 3))));
    this.clock = setInterval(() => this.lookAtTheClock(), 50).unref();
  }

  /** So many requests may wait; one more is refused. */
  readonly waitingMost = WAITING_MOST;

  /** How many requests wait to be taken. */
  get waiting(): number {
    let waiting = this.requests.length;
    for (const { lane } of this.busyLanes.values()) waiting += lane.length;
    return waiting;
  }

  /**
   * Books a place: confirmed where a slot is free, else on the waitlist.
   * @throws AppError with the reason where it is refused; `OVERLOADED` or `TIMED_OUT` where it was never begun
   */
  async book(userId: string, conferenceName: string): Promise<BookedOutcome> {
    const outcome = await this.ask({ kind: 'book', userId, conferenceName });
    if (outcome.kind !== 'booked') throw new Error(`A booking ended as ${outcome.kind}`);
    return outcome;
  }

  /** Takes the open offer of a booking, for its owner. @throws AppError as {@link book} */
  async confirm(bookingId: number, userId: string): Promise<void> {
    await this.ask({ kind: 'confirm', bookingId, userId });
  }

  /** Cancels an active booking, and offers its slot to the next in line. @throws AppError as {@link book} */
  async cancel(bookingId: number, userId: string | null): Promise<void> {
    await this.ask({ kind: 'cancel', bookingId, userId });
  }

  /**
   * Carries out what a person asks for.
   * @param cause what it comes of: the timers of the offers that it makes bear it
   * @throws AppError as {@link book}
   */
  ask(command: RequestCommand, idempotency?: null, cause?: Cause): Promise<Outcome>;
  /**
   * The same for a request that may be sent again: carried out once, and answered in the same words for 24 h.
   * @throws AppError `IDEMPOTENCY_KEY_IN_USE`, `IDEMPOTENCY_KEY_REUSED`, `OVERLOADED` or `TIMED_OUT`; a refusal is an answer
   */
  ask(command: RequestCommand, idempotency: Idempotency, cause?: Cause): Promise<Answered>;
  async ask(command: RequestCommand, idempotency?: Idempotency | null, cause?: Cause): Promise<Outcome | Answered> {
    if (this.waiting >= this.waitingMost) throw told(command, overloaded());
    return new Promise((resolve, reject) => {
      const since = performance.now();
      this.requests.add({
        command,
        cause: cause ?? null,
        since,
        resolve: answer(resolve, reject),
        reject,
        ...(idempotency && { idempotency }),
      });
    });
  }

  /** Does what is overdue in a conference: all of it, in order. Nothing due means nothing to do. */
  expireOffers(conferenceId: number, cause?: Cause): Promise<{ now: Instant }> {
    return this.lookAt({ kind: 'expire', conferenceId }, cause ?? null);
  }

  /** Closes the line of a conference whose start has come. Before that there is nothing to do. */
  startConference(conferenceId: number, cause?: Cause): Promise<{ now: Instant }> {
    return this.lookAt({ kind: 'start', conferenceId }, cause ?? null);
  }

  /**
   * Ends looks after the transaction they are in, or after 1 s where they wait for a lock: what is left is another
   * instance's, or the next start's.
   */
  endLooks(): void {
    if (this.looksEndedAt === Infinity) this.looksEndedAt = performance.now();
  }

  /** Finishes what is in hand; the database goes after this. */
  async onApplicationShutdown(): Promise<void> {
    this.endLooks();
    await Promise.all([this.requests, this.timers].map((lane) => lane.idle()));
    await Promise.all([...this.busyLanes.values()].map(({ lane }) => lane.idle()));
    clearInterval(this.clock);
  }

  /** Looks that wait for the same conference are one, the first one's. */
  private async lookAt(command: TimerCommand, cause: Cause | null): Promise<{ now: Instant }> {
    const key = keyOf(command);
    for (;;) {
      let look = this.timersWaiting.get(key);
      if (look === undefined) {
        look = new Promise<Outcome | Answered>((resolve, reject) => {
          this.timers.add({ command, cause, since: performance.now(), resolve: answer(resolve, reject), reject });
        });
        this.timersWaiting.set(key, look);
      }
      const outcome = await look;
      if (outcome.kind !== 'looked') throw new Error(`A look at a conference ended as ${outcome.kind}`);
      if (!outcome.more || this.looksEndedAt !== Infinity) return { now: outcome.now };
    }
  }

  private async serveRequests(lane: Lane): Promise<void> {
    const busy = new Map([...this.busyLanes.values()].map((each) => [each.conference.name, each]));
    const laneOf = ({ command, idempotency }: Waiting): Lane | undefined =>
      // Whether a key is in use, only a transaction can tell.
      command.kind === 'book' && idempotency === undefined ? busy.get(command.conferenceName)?.lane : undefined;
    // The first in line need none to find that their conference has a lane of its own. Nobody overtakes anybody.
    for (const waiting of lane.takeWhile((each) => laneOf(each) !== undefined)) laneOf(waiting)?.add(waiting);
    if (lane.length === 0) return;
    const passOver = [...busy.values()].map(({ conference }) => conference);
    await this.serve(lane, this.batchOf(lane, BATCH), { passOver });
  }

  /** One batch of a lane; whoever is held up by a busy conference goes to a lane of its own. */
  private async serve(lane: Lane, batch: Batch, options: CarryOutOptions): Promise<void> {
    const passed = await this.carryOut(options, batch);
    for (const { waiting, conference } of passed) {
      // A user whose row somebody holds is tried again behind the others, who need not wait for it.
      if (conference === null) lane.add(waiting);
      else this.laneFor(conference).add(waiting);
    }
    if (passed.length > 0 && passed.length === batch.taken.length) await pause(RETRY_PAUSE_MS);
  }

  private laneFor(conference: BusyConference): Lane {
    const { conferenceId } = conference;
    const known = this.busyLanes.get(conferenceId);
    if (known !== undefined) return known.lane;
    let isCrowded = false;
    const closesAt = performance.now() + CROWDED_LANE_MS;
    const lane = new Lane(
      async (own) => {
        // Waits for the lock first, and only then takes whoever is still there.
        const batch = this.batchOf(own, BATCH);
        await this.busySlots.run(() => this.serve(own, batch, { waitFor: conferenceId }));
        isCrowded = batch.taken.length >= CROWD;
      },
      () => {
        // To try the lock each time would fail each time, at half the cost of a batch.
        if (!isCrowded || performance.now() > closesAt) this.busyLanes.delete(conferenceId);
      },
    );
    this.busyLanes.set(conferenceId, { conference, lane, closesAt });
    return lane;
  }

  private batchOf(lane: Lane, most: number): Batch {
    return new Batch(lane, most, (waiting) => this.begin(waiting));
  }

  /** A look that is taken sees what is there once its locks are held: one that is asked for now is another one. */
  private begin({ command }: Waiting): void {
    if (isTimer(command)) this.timersWaiting.delete(keyOf(command));
  }

  /**
   * Carries out a batch, and answers it. A transaction that fails as a whole is tried again, and then split, so that only
   * the command that fails fails.
   * @returns whoever was not served because their conference, or their user, was busy
   */
  private async carryOut(options: CarryOutOptions, batch: Batch): Promise<Passed[]> {
    for (let attempt = 1; ; attempt++) {
      const begunAt = performance.now();
      let result: SeatingResult;
      try {
        result = await this.transaction.run({ ...options, ahead: () => batch.peek(), take: () => batch.take() });
      } catch (error) {
        // Somebody keeps the lock that this lane waits for: nobody was taken, and whoever may still wait goes on waiting.
        if (!batch.isTaken && isTransient(error)) return [];
        // An AppError says that it is not known what became of the transaction: it must not be tried again.
        const isPassing = isTransient(error) || isDatabaseAway(error);
        const isWorthAnotherTry = !(error instanceof AppError) && (attempt === 1 || (isPassing && attempt < TRIES));
        if (isWorthAnotherTry) {
          await pause(Math.random() * RETRY_PAUSE_MS * attempt);
          continue;
        }
        const commands = batch.take();
        if (commands.length > 1 && !(error instanceof AppError) && !isDatabaseAway(error)) {
          const [first, second] = batch.split();
          return [...(await this.carryOut(options, first)), ...(await this.carryOut(options, second))];
        }
        const failure = this.failureOf(error, commands);
        for (const waiting of commands) {
          trace(waiting, commands.length, begunAt, { failure: failure instanceof AppError ? failure.code : 'failed' });
          waiting.reject(told(waiting.command, failure));
        }
        return [];
      }
      return this.answerAll(batch.taken, result, begunAt, options.waitFor === undefined ? ANSWERS_PER_TURN : Infinity);
    }
  }

  private answerAll(batch: readonly Waiting[], result: SeatingResult, begunAt: number, perTurn: number): Passed[] {
    const passed: Passed[] = [];
    const answers: (() => void)[] = [];
    const traced = new Map<Waiting['cause'], Cause>();
    const attributes = { 'booking.transaction_id': result.transactionId };
    batch.forEach((waiting, index) => {
      const outcome = result.outcomes[index];
      if (outcome === undefined) waiting.reject(told(waiting.command, new Error('A command was not decided')));
      else if (outcome === 'busy user') passed.push({ waiting, conference: null });
      else if ('kind' in outcome) {
        answers.push(() => waiting.resolve(told(waiting.command, outcome)));
        const within = trace(waiting, batch.length, begunAt, { attributes });
        if (within !== null) traced.set(waiting.cause, within);
      } else passed.push({ waiting, conference: outcome });
    });
    // The next batch is sent first: the database works on it while these are told. Where somebody else has the lock by now,
    // there is time to tell them all.
    setImmediate(() => giveInTurns(answers, perTurn));
    this.publisher.schedule(
      result.offers.map(({ conferenceId, deadline, causes }) => {
        const [first, ...others] = [...causes].map((cause) => traced.get(cause) ?? cause);
        return {
          pattern: CONFIRMATION_EXPIRED,
          conferenceId,
          dueAt: deadline,
          ...(first && { cause: Cause.of([first, ...others]) }),
        };
      }),
      result.now,
    );
    return passed;
  }

  /** What one command is told when its transaction failed for good. */
  private failureOf(error: unknown, commands: readonly Waiting[]): unknown {
    if (error instanceof AppError) return error;
    if (isDatabaseAway(error)) {
      this.logFailure(error, commands);
      return databaseUnavailable();
    }
    // The constraints are the backstop: they speak only where a lock was not held.
    const constraint = violatedConstraint(error);
    if (constraint === 'bookings_active_key') return refusal('alreadyBooked');
    if (constraint === 'bookings_no_overlap') return refusal('overlapping');
    if (isTransient(error)) return timedOut();
    this.logFailure(error, commands);
    return error;
  }

  /** One line for all of a batch; it bears the id of a request where it was that one's alone. */
  private logFailure(error: unknown, commands: readonly Waiting[]): void {
    const [only, ...others] = commands;
    const size = others.length === 0 ? '' : ` of ${commands.length} commands`;
    const cause = others.length === 0 ? (only?.cause ?? undefined) : undefined;
    this.logger.error(
      `A seating transaction${size} failed: ${error instanceof Error ? error.message : String(error)}`,
      cause,
    );
  }

  private lookAtTheClock(): void {
    const now = performance.now();
    for (const [conferenceId, { lane, closesAt }] of this.busyLanes) {
      if (lane.isIdle && now > closesAt) this.busyLanes.delete(conferenceId);
    }
    this.refuseWhoWaitedTooLong(now);
  }

  private refuseWhoWaitedTooLong(now: number): void {
    const isTooLateForLooks = now - this.looksEndedAt > LAST_LOOK_MS;
    for (const lane of [this.requests, this.timers, ...[...this.busyLanes.values()].map(({ lane: own }) => own)]) {
      const late = [...lane.takeRequestsOlderThan(now - WAIT_MS), ...(isTooLateForLooks ? lane.takeTimers() : [])];
      for (const waiting of late) {
        this.begin(waiting);
        waiting.reject(told(waiting.command, timedOut()));
      }
    }
  }
}

/** The lane of a conference whose lock somebody else holds, or is going to hold. */
interface BusyLane {
  conference: BusyConference;
  lane: Lane;
  /** When it is closed as soon as it is idle, by `performance.now()`. */
  closesAt: number;
}

/** Answers a few in each turn of the event loop: in between, what the database says to the next batch is heard. */
function giveInTurns(answers: (() => void)[], perTurn: number): void {
  for (const give of answers.splice(0, perTurn)) give();
  if (answers.length > 0) setImmediate(() => giveInTurns(answers, perTurn));
}

/**
 * Shows in the trace of a command how long it waited, and the transaction that carried it out. One that carries out many is
 * in the trace of each of them, as a trace is of one request, under one `booking.transaction_id`.
 * @returns the cause, within the transaction; null where it is not traced
 */
function trace({ command, cause, since }: Waiting, batchSize: number, begunAt: number, end: SpanEnd): Cause | null {
  if (!cause?.span) return null;
  // Whoever came while the transaction waited for a lock is in it, too.
  const takenAt = Math.max(since, begunAt);
  cause.span.begin({ name: 'wait in the box office', kind: 'internal', at: since }).end({ at: takenAt });
  const attributes = { 'booking.command': command.kind, 'booking.batch_size': batchSize };
  const span = cause.span.begin({ name: 'seating transaction', kind: 'internal', at: takenAt, attributes });
  span.end(end);
  // A line that nobody answers goes round for ever, and no trace should.
  return cause.within(isTimer(command) ? span.onward : span);
}

type CarryOutOptions = Pick<SeatingRequest, 'waitFor' | 'passOver'>;

/** A command that was not served because another transaction held its conference's lock, or else its user's. */
interface Passed {
  waiting: Waiting;
  conference: BusyConference | null;
}

/** Tells what a person's command is answered with, and returns it. */
function told<T>(command: Command, answered: T): T {
  if (commandAnswered.isHeard && !isTimer(command)) {
    commandAnswered.tell({ command: command.kind, outcome: outcomeOf(answered) });
  }
  return answered;
}

function outcomeOf(answered: unknown): string {
  if (answered instanceof AppError) return answered.code;
  return answered instanceof Error ? 'INTERNAL_ERROR' : nameOf(answered as Outcome | Answered);
}

function nameOf(outcome: Outcome | Answered): string {
  switch (outcome.kind) {
    case 'answered':
      return outcome.isReplay || outcome.outcome === null ? 'REPLAYED' : nameOf(outcome.outcome);
    case 'refused':
      return outcome.refusal.code;
    case 'booked':
      return outcome.status;
    case 'confirmed':
      return 'CONFIRMED';
    case 'canceled':
      return 'CANCELED';
    case 'looked':
      return 'LOOKED';
  }
}

function keyOf({ kind, conferenceId }: TimerCommand): string {
  return `${kind} ${conferenceId}`;
}

function answer(
  resolve: (outcome: Outcome | Answered) => void,
  reject: (error: unknown) => void,
): (outcome: Outcome | Answered) => void {
  return (outcome) => {
    if (outcome.kind === 'refused') reject(refusalError(outcome.refusal));
    else resolve(outcome);
  };
}

function refusal(name: keyof typeof REFUSALS): AppError {
  return refusalError(REFUSALS[name]);
}

function refusalError({ kind, code, message }: Refusal): AppError {
  return new AppError(kind, code, message);
}

import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { Cause } from '../common/cause.js';
import { batchCommitted } from '../common/facts.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { isDatabaseAway } from '../database/failures.js';
import { FlightTransaction, type Statement } from '../database/flights.js';
import { CommitFate, type Trace } from './commit-fate.js';
import { loadHall, writesOf } from './hall-rows.js';
import type { Hall } from './hall.js';
import { type Answered, answersTo, claimsOf, findKeys, lockKeys, type Order } from './idempotency.js';
import type { Instant, Outcome, Policy } from './model.js';
import { decide } from './rules.js';
import { type BusyConference, SeatingLocks } from './seating-locks.js';

export interface SeatingResult {
  /** In the order of the commands. What was not carried out has the conference, or else says that the user, is busy. */
  outcomes: (Outcome | Answered | BusyConference | 'busy user')[];
  /** The open offers that were made, by conference and deadline. */
  offers: OffersMade[];
  now: Instant;
  transactionId: string;
}

/** Offers of one conference that run out together. */
export interface OffersMade {
  conferenceId: number;
  deadline: Instant;
  /** Of the commands that led to them, in their order, as far as it is known. */
  causes: Set<Cause>;
}

export interface SeatingRequest {
  /** Wait for this conference's lock before anything is taken. Others that are busy are passed over all the same. */
  waitFor?: number;
  /** Whoever would be taken now: during the wait, their keys are in use. */
  ahead?: () => readonly Order[];
  /** Called when the transaction is ready for its commands. */
  take: () => readonly Order[];
  /** Conferences that are reported as busy without a try: another lane keeps their order of arrival. */
  passOver?: readonly BusyConference[];
}

/**
 * One transaction that carries out many commands: locks, loads, decides by the pure rules, writes, commits.
 * Nothing is waited for while a lock is held: a conference is waited for before anything else, and whatever else is busy
 * is passed over. So no two of these transactions can deadlock.
 */
@Injectable()
export class SeatingTransaction {
  private readonly policy: Policy;
  private readonly fate: CommitFate;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly locks: SeatingLocks,
    @Inject(ENVIRONMENT) { offers, limits }: Environment,
  ) {
    this.policy = { ...offers, maxActive: limits.activeBookingsPerUser };
    this.fate = new CommitFate(dataSource);
  }

  /**
   * Carries the commands out, all in one transaction.
   * @throws whatever failed, when nothing was written; a COMMIT whose answer was lost is looked up first
   */
  async run(request: SeatingRequest): Promise<SeatingResult> {
    const transaction = await FlightTransaction.on(this.dataSource);
    let decided: Decided | null = null;
    try {
      decided = await this.attend(transaction, request);
      await transaction.commit(...decided.writes);
      return announce(decided);
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      // Its place in the pool is free before another connection is asked.
      await transaction.discard();
      if (decided === null || (await this.fate.of(decided.transactionId, decided.trace)) !== 'committed') throw error;
      return announce(decided);
    } finally {
      await transaction.end();
    }
  }

  private async attend(
    transaction: FlightTransaction,
    { waitFor, ahead, take, passOver = [] }: SeatingRequest,
  ): Promise<Decided> {
    if (waitFor !== undefined) await transaction.send(lockKeys(ahead?.() ?? []), this.locks.wait(waitFor));
    const orders = take();
    const takenAt = performance.now();
    const claims = claimsOf(orders, ...(await transaction.send(lockKeys(orders), findKeys(orders))));
    const open = orders.filter((_, index) => claims[index] === null);
    const { outcomes, writes, ...carriedOut } = await this.carryOut(transaction, open, passOver);
    const { results, keep } = answersTo(orders, claims, outcomes);
    const { offers, now, transactionId, trace, hall } = carriedOut;
    const result = { outcomes: results, offers, now, transactionId };
    return { result, writes: [...writes, keep], transactionId, trace, hall, takenAt };
  }

  /** Decides orders that nothing is known of yet. */
  private async carryOut(
    transaction: FlightTransaction,
    orders: readonly Order[],
    passOver: readonly BusyConference[],
  ): Promise<CarriedOut> {
    const commands = orders.map(({ command }) => command);
    const { hall, obstacles, transactionId } = await loadHall(transaction, this.locks, commands, passOver, this.policy);
    const causeOfOffer = new Map<number, Cause>();
    const outcomes = orders.map(({ command, cause }, index) => {
      const before = hall.transitions.length;
      const outcome = obstacles[index] ?? decide(hall, command);
      // What was written down meanwhile is this command's doing.
      if (cause) for (const bookingId of offeredSince(hall, before)) causeOfOffer.set(bookingId, cause);
      return outcome;
    });
    const last = hall.transitions.at(-1);
    return {
      outcomes,
      offers: offersMade(hall, causeOfOffer),
      now: hall.now,
      writes: writesOf(hall),
      hall,
      transactionId,
      trace: last === undefined ? null : { ...last, at: hall.now },
    };
  }
}

/** What is to be written, and what tells whether it was, when nobody says so. */
interface Written {
  writes: (Statement<never> | null)[];
  transactionId: string;
  trace: Trace | null;
}

/** A batch that is decided, and not written yet. */
interface Decided extends Written {
  result: SeatingResult;
  hall: Hall;
  /** By `performance.now()`. */
  takenAt: number;
}

/** What came of commands that nothing was known of. */
interface CarriedOut extends Written, Pick<SeatingResult, 'offers' | 'now'> {
  outcomes: (Outcome | BusyConference | 'busy user')[];
  hall: Hall;
}

/** Tells of a batch that is committed, and returns its result. */
function announce({ result, hall, takenAt }: Decided): SeatingResult {
  if (batchCommitted.isHeard) {
    const { transitions, lateness } = hall;
    const commands = result.outcomes.filter((outcome) => typeof outcome === 'object' && 'kind' in outcome).length;
    if (commands > 0) {
      batchCommitted.tell({ commands, durationMs: performance.now() - takenAt, transitions, lateness });
    }
  }
  return result;
}

/** The bookings that were offered a slot since so many transitions. */
function offeredSince({ transitions }: Hall, count: number): number[] {
  const offered: number[] = [];
  for (let index = count; index < transitions.length; index++) {
    const transition = transitions[index];
    if (transition?.reason === 'offered') offered.push(transition.bookingId);
  }
  return offered;
}

function offersMade(hall: Hall, causeOfOffer: ReadonlyMap<number, Cause>): OffersMade[] {
  const offers = new Map<string, OffersMade>();
  for (const seat of [...hall.changed, ...hall.created]) {
    const { bookingId, conferenceId, status, confirmationDeadline: deadline } = seat;
    if (status !== 'ConfirmationPending' || deadline === null) continue;
    const key = `${conferenceId} ${deadline}`;
    const made = offers.get(key) ?? { conferenceId, deadline, causes: new Set() };
    const cause = causeOfOffer.get(bookingId);
    if (cause !== undefined) made.causes.add(cause);
    offers.set(key, made);
  }
  return [...offers.values()];
}

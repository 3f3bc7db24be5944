import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { isDatabaseAway } from '../database/failures.js';
import { CommitFate, type Trace } from './commit-fate.js';
import { loadHall, writeHall } from './hall-rows.js';
import type { Hall } from './hall.js';
import { type Answered, claimKeys, keepAnswers, lockKeys, type Order } from './idempotency.js';
import type { Command, Instant, OfferPolicy, Outcome } from './model.js';
import { decide } from './rules.js';
import { type BusyConference, SeatingLocks } from './seating-locks.js';

export interface SeatingResult {
  /** In the order of the commands. What was not carried out has the conference, or else says that the user, is busy. */
  outcomes: (Outcome | Answered | BusyConference | 'busy user')[];
  /** The open offers that were made, by conference and deadline. */
  offers: { conferenceId: number; deadline: Instant }[];
  now: Instant;
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
  private readonly policy: OfferPolicy;
  private readonly fate: CommitFate;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly locks: SeatingLocks,
    @Inject(ENVIRONMENT) { offers }: Environment,
  ) {
    this.policy = offers;
    this.fate = new CommitFate(dataSource);
  }

  /**
   * Carries the commands out, all in one transaction.
   * @throws whatever failed, when nothing was written; a COMMIT whose answer was lost is looked up first
   */
  async run(request: SeatingRequest): Promise<SeatingResult> {
    const runner = this.dataSource.createQueryRunner();
    try {
      await runner.connect();
      await runner.startTransaction();
      const result = await this.attend(runner.manager, request);
      await this.commit(runner, result);
      return result;
    } catch (error) {
      if (isDatabaseAway(error)) await discard(runner);
      else if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => discard(runner));
      throw error;
    } finally {
      await runner.release();
    }
  }

  private async commit(runner: QueryRunner, { transactionId, trace }: Written): Promise<void> {
    try {
      await runner.commitTransaction();
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      // Its place in the pool is free before another connection is asked.
      await discard(runner);
      await runner.release();
      if ((await this.fate.of(transactionId, trace)) !== 'committed') throw error;
    }
  }

  private async attend(manager: EntityManager, request: SeatingRequest): Promise<SeatingResult & Written> {
    if (request.waitFor !== undefined) {
      await lockKeys(manager, request.ahead?.() ?? []);
      await this.locks.wait(manager, request.waitFor);
    }
    const orders = request.take();
    const claims = await claimKeys(manager, orders);
    const open = orders.filter((_, index) => claims[index] === null);
    const commands = open.map(({ command }) => command);
    const { outcomes, ...done } = await this.carryOut(manager, commands, request.passOver ?? []);
    return { ...done, outcomes: await keepAnswers(manager, orders, claims, outcomes) };
  }

  /** Carries out commands that nothing is known of yet. */
  private async carryOut(
    manager: EntityManager,
    commands: readonly Command[],
    passOver: readonly BusyConference[],
  ): Promise<Done & Written> {
    const { places, obstacles, userIds } = await this.locks.lock(manager, commands, passOver);
    const isAttended = (_: unknown, index: number): boolean => obstacles[index] === null;
    const attended = commands.filter(isAttended);
    const { hall, transactionId } = await loadHall(manager, attended, places.filter(isAttended), userIds, this.policy);
    const decided = attended.map((command) => decide(hall, command));
    await writeHall(manager, hall);

    let next = 0;
    const last = hall.transitions.at(-1);
    return {
      outcomes: obstacles.map((obstacle) => obstacle ?? decided[next++] ?? 'busy user'),
      offers: offersMade(hall),
      now: hall.now,
      transactionId,
      trace: last === undefined ? null : { ...last, at: hall.now },
    };
  }
}

/**
 * Ends a connection that is lost, or in an unknown state. The pool does not notice at once that the server has said
 * goodbye, and would hand it to the next transaction.
 */
async function discard(runner: QueryRunner): Promise<void> {
  if (runner.isReleased) return;
  try {
    const client = (await runner.connect()) as { end: () => Promise<void> };
    void client.end().catch(() => undefined);
  } catch {
    // There never was a connection.
  }
}

/** What came of commands that nothing was known of. */
interface Done extends Pick<SeatingResult, 'offers' | 'now'> {
  outcomes: (Outcome | BusyConference | 'busy user')[];
}

/** What tells whether a transaction was committed, when nobody says so. */
interface Written {
  transactionId: string;
  trace: Trace | null;
}

function offersMade(hall: Hall): { conferenceId: number; deadline: Instant }[] {
  const offers = new Map<string, { conferenceId: number; deadline: Instant }>();
  for (const seat of [...hall.changed, ...hall.created]) {
    const { conferenceId, status, confirmationDeadline: deadline } = seat;
    if (status !== 'ConfirmationPending' || deadline === null) continue;
    offers.set(`${conferenceId} ${deadline}`, { conferenceId, deadline });
  }
  return [...offers.values()];
}

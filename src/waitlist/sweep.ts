import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { Cause, requestIdFrom } from '../common/cause.js';
import { timersMadeUpFor } from '../common/facts.js';
import { TRACER, type Tracer } from '../common/spans.js';
import { Conference } from '../conferences/conference.entity.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { Database } from '../database/database.js';
import { TimerPublisher } from '../messaging/timer-publisher.js';
import { Booking } from '../seating/booking.entity.js';
import { BoxOffice } from '../seating/box-office.js';

const MAX_CONFERENCES = 100;
const MAX_OFFERS = 1_000;
/** With so many conferences in hand no round follows at once. */
const MAX_IN_HAND = 200;
const JITTER = 0.1;
/** No timer is so late, unless it is lost or nobody keeps up with them. */
const LATE = `interval '1 second'`;

/** A conference in which something is due, and how many rows of it are overdue by more than a timer is late. */
interface Due {
  conferenceId: number;
  late: number;
}

/**
 * Makes up for timers that are lost: looks for conferences with overdue offers, and for those that have started and
 * whose line is open still, and submits the commands that a timer would have. Where there is no broker it is the clock.
 */
@Injectable()
export class Sweep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Sweep.name);
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<void> | null = null;
  private readonly inHand = new Map<number, Promise<void>>();
  private isStopped = false;
  private isOutage = false;
  private unsubscribe: () => void = () => undefined;

  constructor(
    @Inject(ENVIRONMENT) private readonly environment: Environment,
    private readonly boxOffice: BoxOffice,
    private readonly publisher: TimerPublisher,
    private readonly database: Database,
    @Inject(TRACER) private readonly tracer: Tracer | null,
    @InjectRepository(Booking) private readonly bookings: Repository<Booking>,
    @InjectRepository(Conference) private readonly conferences: Repository<Conference>,
  ) {}

  onApplicationBootstrap(): void {
    if (this.environment.role === 'api') {
      this.logger.log('This instance handles no timers: offers expire and conferences start only while a worker runs');
      return;
    }
    this.unsubscribe = this.publisher.onStateChange(() => {
      if (this.timer !== null) this.sweepIn(this.pauseMs());
    });
    void this.database.whenReady.then(() => {
      if (!this.isStopped) this.sweepIn(0);
    });
  }

  /** Begins no other round, and awaits what is in hand. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    this.unsubscribe();
    if (this.timer !== null) clearTimeout(this.timer);
    this.boxOffice.endLooks();
    await this.round;
    await Promise.all(this.inHand.values());
  }

  /** Until the next round, ms: quick while the sweep is the only clock, and never in step with other instances. */
  private pauseMs(): number {
    const { intervalMs, quickIntervalMs } = this.environment.sweep;
    const pauseMs = this.publisher.state === 'up' ? intervalMs : quickIntervalMs;
    return pauseMs * (1 - JITTER + 2 * JITTER * Math.random());
  }

  private sweepIn(delayMs: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.round = this.sweep();
    }, delayMs);
  }

  /**
   * One round, and the next at once where more is waiting than one takes. It does not await its commands: one conference
   * that is locked, or whose line is long, holds up no other, and is not asked for again while it is in hand.
   */
  private async sweep(): Promise<void> {
    let isMore = false;
    try {
      const overdue = await this.findOverdue();
      for (const due of overdue.rows) this.submit('offer', due, (id, cause) => this.boxOffice.expireOffers(id, cause));
      const started = await this.findStarted();
      for (const due of started.rows)
        this.submit('start', due, (id, cause) => this.boxOffice.startConference(id, cause));
      isMore = overdue.isFull || started.isFull;
      if (this.inHand.size === 0) this.endOutage();
    } catch (error) {
      this.reportOutage(error);
    }
    if (!this.isStopped) this.sweepIn(isMore && this.inHand.size < MAX_IN_HAND ? 0 : this.pauseMs());
  }

  private submit(
    what: 'offer' | 'start',
    { conferenceId, late }: Due,
    look: (conferenceId: number, cause: Cause) => Promise<{ now: number }>,
  ): void {
    if (this.inHand.has(conferenceId)) return;
    const span = this.tracer?.begin({ name: 'sweep', kind: 'internal' }) ?? null;
    const cause = new Cause([requestIdFrom(null)], span);
    this.logger.debug(`looking at conference ${conferenceId}`, cause);
    // Where there is no broker, or it is away, nobody expects a timer.
    const madeUpFor = this.publisher.state === 'up' ? late : 0;
    const done = look(conferenceId, cause).then(
      () => {
        span?.end();
        this.endOutage();
        if (madeUpFor > 0) timersMadeUpFor.tell({ what, count: madeUpFor });
      },
      (error: unknown) => {
        span?.end({ failure: error instanceof AppError ? error.code : 'failed' });
        if (error instanceof AppError && error.kind === 'unavailable') this.reportOutage(error);
        else this.logger.error(`Conference ${conferenceId}: ${describe(error)}`, cause);
      },
    );
    this.inHand.set(
      conferenceId,
      done.finally(() => this.inHand.delete(conferenceId)),
    );
  }

  /** Conferences with overdue offers, longest overdue first; no more than the index gives for the oldest 1,000 offers. */
  private async findOverdue(): Promise<{ rows: Due[]; isFull: boolean }> {
    const rows: (Due & { offers: number })[] = await this.bookings.query(
      `SELECT conference_id AS "conferenceId", count(*)::integer AS offers,
              (count(*) FILTER (WHERE confirmation_deadline <= now() - ${LATE}))::integer AS late
         FROM (SELECT conference_id, confirmation_deadline FROM bookings
                WHERE status = 'ConfirmationPending' AND confirmation_deadline <= now() AND conference_id <> ALL($3)
                ORDER BY confirmation_deadline LIMIT $2) AS oldest
        GROUP BY conference_id ORDER BY min(confirmation_deadline) LIMIT $1`,
      [MAX_CONFERENCES, MAX_OFFERS, [...this.inHand.keys()]],
    );
    const offers = rows.reduce((sum, row) => sum + row.offers, 0);
    return { rows, isFull: rows.length === MAX_CONFERENCES || offers === MAX_OFFERS };
  }

  private async findStarted(): Promise<{ rows: Due[]; isFull: boolean }> {
    const rows: Due[] = await this.conferences.query(
      `SELECT conference_id AS "conferenceId", (starts_at <= now() - ${LATE})::integer AS late FROM conferences
        WHERE waitlist_closed_at IS NULL AND starts_at <= now() AND conference_id <> ALL($2)
        ORDER BY starts_at LIMIT $1`,
      [MAX_CONFERENCES, [...this.inHand.keys()]],
    );
    return { rows, isFull: rows.length === MAX_CONFERENCES };
  }

  private reportOutage(error: unknown): void {
    if (!this.isOutage) this.logger.error(`The sweep failed, and is tried again: ${describe(error)}`);
    this.isOutage = true;
  }

  private endOutage(): void {
    if (this.isOutage) this.logger.log('The sweep works again');
    this.isOutage = false;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

import { setTimeout } from 'node:timers/promises';
import { Controller, Inject, Logger } from '@nestjs/common';
import { Ctx, EventPattern, Payload, RmqContext } from '@nestjs/microservices';
import { timerMoved } from '../common/facts.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { Acknowledger, type CausedTimer } from '../messaging/acknowledger.js';
import { delayRungs, rungFor } from '../messaging/delays.js';
import { TimerPublisher } from '../messaging/timer-publisher.js';
import { CONFERENCE_STARTS, CONFIRMATION_EXPIRED, type TimerPattern } from '../messaging/timers.js';
import { BoxOffice } from '../seating/box-office.js';

/** An instant may have been cut to whole milliseconds on its way here. */
const PRECISION_MS = 1;

/** The timer handlers: they decide nothing, and have the box office look. */
@Controller()
export class TimersController {
  private readonly logger = new Logger(TimersController.name);
  private readonly rungs: readonly number[];

  constructor(
    private readonly boxOffice: BoxOffice,
    private readonly publisher: TimerPublisher,
    private readonly acknowledger: Acknowledger,
    @Inject(ENVIRONMENT) environment: Environment,
  ) {
    this.rungs = delayRungs(environment.offers.windowMs);
  }

  @EventPattern<TimerPattern>(CONFIRMATION_EXPIRED)
  confirmationExpired(@Payload() data: unknown, @Ctx() context: RmqContext): Promise<void> {
    return this.acknowledger.settle(context, data, (timer, signal) =>
      this.look(timer, signal, () => this.boxOffice.expireOffers(timer.conferenceId, timer.cause)),
    );
  }

  @EventPattern<TimerPattern>(CONFERENCE_STARTS)
  conferenceStarts(@Payload() data: unknown, @Ctx() context: RmqContext): Promise<void> {
    return this.acknowledger.settle(context, data, (timer, signal) =>
      this.look(timer, signal, () => this.boxOffice.startConference(timer.conferenceId, timer.cause)),
    );
  }

  /** The only clock is the database's, so the way to learn whether a timer is early is to submit its command. */
  private async look(timer: CausedTimer, signal: AbortSignal, submit: () => Promise<{ now: number }>): Promise<void> {
    for (;;) {
      const { now } = await submit();
      const remainingMs = timer.dueAt + PRECISION_MS - now;
      this.logger.debug(
        `${timer.pattern}: looked at conference ${timer.conferenceId}, ${remainingMs <= 0 ? 'due' : `${remainingMs} ms early`}`,
        timer.cause,
      );
      if (remainingMs <= 0) return;
      if (rungFor(remainingMs, this.rungs) !== null) {
        timerMoved.tell('rehopped');
        await this.publisher.scheduleIn(timer, remainingMs);
        return;
      }
      await setTimeout(Math.ceil(remainingMs), undefined, { signal });
    }
  }
}

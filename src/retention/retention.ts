import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { Database } from '../database/database.js';
import { Archivist } from './archivist.js';

const INTERVAL_MS = 60_000;
const JITTER = 0.1;

/** Has workers put into the archive what is over for longer than `RETENTION_DAYS`: when they start, and every minute. */
@Injectable()
export class Retention implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Retention.name);
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<void> | null = null;
  private isStopped = false;
  private isOutage = false;

  constructor(
    @Inject(ENVIRONMENT) private readonly environment: Environment,
    private readonly archivist: Archivist,
    private readonly database: Database,
  ) {}

  onApplicationBootstrap(): void {
    if (this.environment.role === 'api' || this.environment.retentionDays === 0) return;
    void this.database.whenReady.then(() => this.goOnIn(0));
  }

  /** Finishes the transaction in hand, and begins no other. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.round;
  }

  private goOnIn(delayMs: number): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      this.round = this.goOn();
    }, delayMs);
  }

  /** One transaction, and then the next after as long a pause: half of the time belongs to everybody else. */
  private async goOn(): Promise<void> {
    const startedAt = performance.now();
    let isMore = false;
    try {
      isMore = await this.archivist.moveSome(this.environment.retentionDays);
      if (this.isOutage) this.logger.log('The archive is written again');
      this.isOutage = false;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.isOutage) this.logger.error(`The archive was not written, and is tried again: ${reason}`);
      this.isOutage = true;
    }
    const pauseMs = INTERVAL_MS * (1 - JITTER + 2 * JITTER * Math.random());
    this.goOnIn(isMore ? performance.now() - startedAt : pauseMs);
  }
}

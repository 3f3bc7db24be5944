import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Database } from '../database/database.js';
import { FORGET_KEYS } from './statements.js';

const INTERVAL_MS = 60_000;
const JITTER = 0.5;
/** Few enough to be done in milliseconds, so that the cleanup is in nobody's way. */
const BATCH = 500;

/** Forgets the idempotency keys that are too old to be repeated, about every minute, in small batches. */
@Injectable()
export class IdempotencyCleanup implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(IdempotencyCleanup.name);
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<unknown> | null = null;
  private isStopped = false;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly database: Database,
  ) {}

  onApplicationBootstrap(): void {
    void this.database.whenReady.then(() => this.next());
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.round;
  }

  /** Forgets all that are too old now; resolves to how many there were. */
  async forget(): Promise<number> {
    let forgotten = 0;
    for (;;) {
      const [, count] = await this.dataSource.query<[unknown, number]>(FORGET_KEYS, [BATCH]);
      forgotten += count;
      if (count < BATCH || this.isStopped) return forgotten;
    }
  }

  private next(): void {
    if (this.isStopped) return;
    const pauseMs = INTERVAL_MS * (1 + JITTER * (Math.random() - 0.5));
    this.timer = setTimeout(() => {
      this.round = this.forget()
        .catch((error: unknown) => this.logger.warn(`Old idempotency keys are still there: ${String(error)}`))
        .finally(() => this.next());
    }, pauseMs).unref();
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { isDatabaseAway } from '../database/failures.js';

const LOOK_EVERY_MS = 100;
const GIVE_UP_AFTER_MS = 30_000;

/**
 * Finds out what became of a transaction whose COMMIT got no answer: the connection died, but the server may have
 * committed. Nothing may be tried again, or answered, before that is known.
 * Source: https://www.postgresql.org/docs/current/functions-info.html (pg_xact_status)
 */
export class CommitFate {
  constructor(private readonly dataSource: DataSource) {}

  /** @throws AppError `DATABASE_UNAVAILABLE` when the database does not come back within 30 s to tell */
  async of(transactionId: string): Promise<'committed' | 'aborted'> {
    const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
    for (;;) {
      const status = await this.lookUp(transactionId);
      // «in progress»: the server has not noticed yet that nobody is at the other end.
      if (status === 'committed' || status === 'aborted') return status;
      if (performance.now() > giveUpAt) {
        throw new AppError(
          'unavailable',
          'DATABASE_UNAVAILABLE',
          'The database went away while this request was being written down: look it up before you try again',
        );
      }
      await pause(LOOK_EVERY_MS);
    }
  }

  private async lookUp(transactionId: string): Promise<string | null> {
    try {
      const rows: unknown = await this.dataSource.query('SELECT pg_xact_status($1::xid8) AS status', [transactionId]);
      return (rows as [{ status: string | null }])[0].status;
    } catch (error) {
      if (isDatabaseAway(error)) return null;
      throw error;
    }
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { isDatabaseAway, sqlState } from '../database/failures.js';
import type { Instant, Transition } from './model.js';

const LOOK_EVERY_MS = 100;
const GIVE_UP_AFTER_MS = 30_000;
/** What the server says of an id that it has not given yet. */
const INVALID_PARAMETER_VALUE = '22023';

/** A step that the transaction wrote down, and when: nobody else writes the same one. */
export type Trace = Pick<Transition, 'bookingId' | 'toStatus' | 'reason'> & { at: Instant };

/**
 * Finds out what became of a transaction whose COMMIT got no answer: the connection died, but the server may have
 * committed. Nothing may be tried again, or answered, before that is known.
 *
 * The id alone does not tell: a server that crashed before anything of the transaction was on its disk gives the same id
 * to another one. So what is committed must have left its trace.
 * Source: https://www.postgresql.org/docs/current/functions-info.html (pg_xact_status)
 */
export class CommitFate {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param trace null where the transaction wrote no step: then there is nothing to lose
   * @throws AppError `DATABASE_UNAVAILABLE` when the database does not come back within 30 s to tell
   */
  async of(transactionId: string, trace: Trace | null): Promise<'committed' | 'aborted'> {
    const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
    for (;;) {
      const status = await this.lookUp(transactionId, trace);
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

  private async lookUp(transactionId: string, trace: Trace | null): Promise<string | null> {
    try {
      const [row] = await this.query<{ status: string | null }>('SELECT pg_xact_status($1::xid8) AS status', [
        transactionId,
      ]);
      if (row?.status !== 'committed' || trace === null) return row?.status ?? null;
      // A statement of its own: one that began before the commit would not see what it wrote.
      const rows = await this.query(
        `SELECT FROM booking_transitions WHERE booking_id = $1 AND to_status = $2 AND reason = $3 AND at = $4`,
        [trace.bookingId, trace.toStatus, trace.reason, new Date(trace.at).toISOString()],
      );
      return rows.length > 0 ? 'committed' : 'aborted';
    } catch (error) {
      if (isDatabaseAway(error)) return null;
      if (sqlState(error) === INVALID_PARAMETER_VALUE) return 'aborted';
      throw error;
    }
  }

  private query<Row>(sql: string, parameters: unknown[]): Promise<Row[]> {
    return this.dataSource.query<Row[]>(sql, parameters);
  }
}

import type { INestApplicationContext } from '@nestjs/common';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Client } from 'pg';
import { ConfigModule } from '../../src/config/config.module.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { Database } from '../../src/database/database.js';
import { DatabaseModule } from '../../src/database/database.module.js';
import { auditDatabase } from '../../src/cli/audit/audit-database.js';
import { BoxOffice } from '../../src/seating/box-office.js';
import { IdempotencyCleanup } from '../../src/seating/idempotency-cleanup.js';
import { SeatingModule } from '../../src/seating/seating.module.js';
import { SeatingTransaction } from '../../src/seating/seating-transaction.js';
import { eventually } from './eventually.js';

@Module({})
class Root {}

/** A box office as an instance has it, on a database of the tests' own. */
export interface TestBoxOffice {
  boxOffice: BoxOffice;
  transaction: SeatingTransaction;
  cleanup: IdempotencyCleanup;
  close(): Promise<void>;
}

export async function openBoxOffice(url: string, variables: Record<string, string> = {}): Promise<TestBoxOffice> {
  const environment = parseEnvironment({ DATABASE_URL: url, ...variables });
  const app: INestApplicationContext = await NestFactory.createApplicationContext(
    {
      module: Root,
      imports: [ConfigModule.with(environment), DatabaseModule.connected(), SeatingModule, TypeOrmModule],
    },
    { logger: ['fatal'], abortOnError: false },
  );
  await app.get(Database).connect();
  return {
    boxOffice: app.get(BoxOffice),
    transaction: app.get(SeatingTransaction),
    cleanup: app.get(IdempotencyCleanup),
    close: () => app.close(),
  };
}

/** A connection past the service: to prepare, to hold locks, and to look. */
export class Backstage {
  private constructor(readonly client: Client) {}

  static async open(url: string): Promise<Backstage> {
    const client = new Client({ connectionString: url });
    // A test that cuts every connection of a database cuts this one, too.
    client.on('error', () => undefined);
    await client.connect();
    return new Backstage(client);
  }

  async query<T extends object = Record<string, unknown>>(sql: string, parameters: unknown[] = []): Promise<T[]> {
    return (await this.client.query<T>(sql, parameters)).rows;
  }

  /** Users `<prefix>1` to `<prefix>N`. */
  async addUsers(prefix: string, count: number): Promise<string[]> {
    const names = Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
    await this.query('INSERT INTO users (user_id) SELECT unnest($1::text[])', [names]);
    return names;
  }

  /** The last number that was given to a booking, also to one that was not kept; 0: none was. */
  async lastBookingId(): Promise<number> {
    const [row] = await this.query<{ last: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS last FROM bookings_booking_id_seq',
    );
    return row?.last ?? 0;
  }

  /** A conference of an hour, starting in so many seconds (100 days unless told). Returns its id. */
  async addConference(name: string, slots: number, startsInSeconds = 8_640_000): Promise<number> {
    const rows = await this.query<{ conference_id: number }>(
      `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
       SELECT $1, 'Hall', at, at + interval '1 hour', $2, $2
       FROM date_trunc('milliseconds', clock_timestamp() + make_interval(secs => $3)) AS at RETURNING conference_id`,
      [name, slots, startsInSeconds],
    );
    return rows[0]?.conference_id ?? 0;
  }

  /** So many people in the line of a conference whose slots are all taken: written directly, as booking would take long. */
  async fillLine(conferenceId: number, prefix: string, count: number): Promise<void> {
    await this.query('INSERT INTO users (user_id) SELECT $1 || n FROM generate_series(1, $2::int) n', [prefix, count]);
    await this.query(
      `WITH added AS (
         INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket, created_at)
         SELECT c.conference_id, $2 || n, 'WAITLISTED', tstzrange(c.starts_at, c.ends_at), c.last_ticket + n, now()
         FROM conferences c, generate_series(1, $3::int) n WHERE c.conference_id = $1 ORDER BY n RETURNING booking_id
       ), told AS (
         INSERT INTO booking_transitions (booking_id, to_status, reason, at)
         SELECT booking_id, 'WAITLISTED', 'joined_waitlist', now() FROM added
       )
       UPDATE conferences SET waitlisted = waitlisted + $3, last_ticket = last_ticket + $3 WHERE conference_id = $1`,
      [conferenceId, prefix, count],
    );
  }

  /** Moves an offer's deadline into the past. */
  async passDeadline(bookingId: number): Promise<void> {
    await this.query(
      `UPDATE bookings SET confirmation_deadline = clock_timestamp() - interval '1 ms' WHERE booking_id = $1`,
      [bookingId],
    );
  }

  /** Moves a conference's start into the past, and its end to an hour from now. */
  async passStart(name: string): Promise<void> {
    await this.query(
      `WITH started AS (
         UPDATE conferences SET starts_at = clock_timestamp() - interval '1 ms', ends_at = clock_timestamp() + interval '1 h'
         WHERE name = $1 RETURNING *
       )
       UPDATE bookings b SET during = tstzrange(starts_at, ends_at) FROM started s WHERE b.conference_id = s.conference_id`,
      [name],
    );
  }

  async statusesOf(conferenceId: number): Promise<Record<string, number>> {
    const rows = await this.query<{ status: string; count: number }>(
      'SELECT status, count(*)::int AS count FROM bookings WHERE conference_id = $1 GROUP BY status',
      [conferenceId],
    );
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  /** Holds the lock of a conference until the returned function is called. Takes this connection for as long. */
  async holdConference(conferenceId: number): Promise<() => Promise<void>> {
    await this.query('BEGIN');
    await this.query('SELECT 1 FROM conferences WHERE conference_id = $1 FOR UPDATE', [conferenceId]);
    return async () => {
      await this.query('COMMIT');
    };
  }

  /** Resolves when somebody waits for a lock that this connection holds. */
  async whenWaitedFor(): Promise<void> {
    await eventually(async () => {
      const waiters = await this.query(
        'SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))',
      );
      expect(waiters).not.toEqual([]);
    });
  }

  /** The rules that the database breaks; empty when all is well. */
  async brokenRules(graceSeconds = 0): Promise<string[]> {
    const findings = await auditDatabase((sql) => this.query(sql), { graceSeconds });
    return findings.filter(({ total }) => total > 0).map(({ rule }) => rule);
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}

/** What became of promises that may be refused: values, and the codes of refusals. */
export async function settle<T>(promises: Promise<T>[]): Promise<{ values: T[]; codes: string[] }> {
  const outcomes = await Promise.allSettled(promises);
  return {
    values: outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])),
    codes: outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as { code?: string }).code ?? String(outcome.reason)] : [],
    ),
  };
}

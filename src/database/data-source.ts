import type { ClientBase } from 'pg';
import type { DataSourceOptions } from 'typeorm';
import type { Pooler } from '../config/environment.js';

export interface DatabaseSettings {
  url: string;
  poolMax: number;
  poolMinIdle: number;
  pooler: Pooler;
  /** False for a command whose statements may take long: whoever sets `statement_timeout` for one of them is obeyed. */
  isHurried?: boolean;
}

/** What the server itself ends, ms: a statement that waits for a lock, one that takes long, an instance that froze. */
export const SERVER_LIMITS = {
  lock_timeout: 2_000,
  statement_timeout: 5_000,
  idle_in_transaction_session_timeout: 2_000,
};

/**
 * How the server plans what the service asks, which is always for a few rows by a key. Tables grow fast when a sale opens,
 * and statistics lag behind: a prepared statement that was planned while a table was small would go on to read all of it
 * when it is large, and what is thought to cost much would be compiled first, for half a second (see
 * docs/decisions/0013-the-http-path.md).
 */
const PLANNER_OPTIONS = '-c jit=off -c enable_seqscan=off';

/**
 * Gives every connection of a pool somebody who hears its errors. The server's goodbye may come in one packet with its
 * welcome; then the pool hears no more, whoever asked for the connection does not hear yet, and the process would end.
 */
export const HEARD = {
  onConnect: (client: ClientBase): void => {
    client.on('error', () => undefined);
  },
};

/**
 * How the service talks to PostgreSQL. Nothing waits for ever: not for a connection (2 s), a lock (2 s), a statement
 * (5 s; 8 s where not even an error comes back), nor for an instance that froze in the middle of a transaction (2 s).
 *
 * What the server is to end is told to it when a connection is made, which costs no round trip. A pooler's connections are
 * not made for this service: there the pooler tells it (see deploy/pgbouncer.ini).
 */
export function dataSourceOptions({
  url,
  poolMax,
  poolMinIdle,
  pooler,
  isHurried = true,
}: DatabaseSettings): DataSourceOptions {
  return {
    type: 'postgres',
    url,
    applicationName: 'conference-booking',
    poolSize: poolMax,
    connectTimeoutMS: 2_000,
    synchronize: false,
    logging: false,
    // A connection that dies while it rests is replaced by the pool; whoever uses one gets an error of their own.
    poolErrorHandler: () => undefined,
    extra: {
      ...HEARD,
      min: poolMinIdle,
      keepAlive: true,
      // Statements are sent when they are given, and not when the one before has its answer: see flights.ts.
      pipeline: true,
      ...(pooler === 'none' ? SERVER_LIMITS : {}),
      // A command reads whole tables.
      ...(pooler === 'none' && isHurried ? { options: PLANNER_OPTIONS } : {}),
      // Of the client: a network that swallows packets says nothing at all.
      ...(isHurried ? { query_timeout: 8_000 } : {}),
    },
  };
}

/** Whether statements may be prepared: where a connection's plans are its own, and made for look-ups. */
export function mayPrepare(options: DataSourceOptions): boolean {
  return 'extra' in options && (options.extra as { options?: string }).options === PLANNER_OPTIONS;
}

/** Where a database is, for people to read: never its user or password. */
export function databaseAddress(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

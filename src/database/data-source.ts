import type { DataSourceOptions } from 'typeorm';

export interface DatabaseSettings {
  url: string;
  poolMax: number;
  poolMinIdle: number;
  /** False for a command whose statements may take long: whoever sets `statement_timeout` for one of them is obeyed. */
  isHurried?: boolean;
}

/**
 * How the service talks to PostgreSQL. Nothing waits for ever: not for a connection (2 s), a lock (2 s), a statement
 * (5 s; 8 s where not even an error comes back), nor for an instance that froze in the middle of a transaction (2 s).
 */
export function dataSourceOptions({
  url,
  poolMax,
  poolMinIdle,
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
      min: poolMinIdle,
      keepAlive: true,
      lock_timeout: 2_000,
      statement_timeout: 5_000,
      // Of the client: a network that swallows packets says nothing at all.
      ...(isHurried ? { query_timeout: 8_000 } : {}),
      idle_in_transaction_session_timeout: 2_000,
    },
  };
}

/** Where a database is, for people to read: never its user or password. */
export function databaseAddress(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

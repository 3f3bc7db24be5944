import { QueryFailedError } from 'typeorm';
import { AppError } from '../common/app-error.js';

/**
 * Not what was asked is the trouble but the database: its connection, its being read-only after a failover, its
 * credentials, its tables that are not there (yet), its resources, its being shut down or out of reach of its files.
 * Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const AWAY = /^(08...|25006|25P03|28...|3D000|42P01|53...|57P..|58...)$/;
/** Serialization, deadlock, a lock that somebody keeps, a statement that took too long. */
const TRANSIENT = new Set(['40001', '40P01', '55P03', '57014']);

/** The SQLSTATE that the server answered with; null where no server answered. */
export function sqlState(error: unknown): string | null {
  const code = propertyOf(driverError(error), 'code');
  // EPIPE has five letters, too: no class of PostgreSQL's begins with E.
  return typeof code === 'string' && /^(?!E)[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** The name of the constraint that was violated; null where that was not the trouble. */
export function violatedConstraint(error: unknown): string | null {
  const name = propertyOf(driverError(error), 'constraint');
  return typeof name === 'string' ? name : null;
}

/**
 * True where the database is away, or the connection to it was lost: every failure of a statement to which no server
 * gave an answer, and those with which a server says goodbye.
 */
export function isDatabaseAway(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return AWAY.test(state);
  const text = error instanceof Error ? `${error.name} ${error.message}` : '';
  const code = propertyOf(driverError(error), 'code');
  return (
    (typeof code === 'string' && /^E[A-Z_]+$/.test(code)) ||
    /terminated|timeout|not queryable|AlreadyReleased|Connection ended|getaddrinfo|Client was closed|not connected|CannotConnect|ConnectionNotFound/i.test(
      text,
    )
  );
}

/** True where the same transaction may well succeed when it is tried again. */
export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(sqlState(error) ?? '');
}

export function databaseUnavailable(): AppError {
  return new AppError(
    'unavailable',
    'DATABASE_UNAVAILABLE',
    'The database cannot be reached at the moment: try again shortly',
  );
}

/** What the driver threw, where TypeORM has wrapped it. */
function driverError(error: unknown): unknown {
  return error instanceof QueryFailedError ? (error.driverError as unknown) : error;
}

function propertyOf(error: unknown, name: 'code' | 'constraint'): unknown {
  return typeof error === 'object' && error !== null && name in error
    ? (error as Record<'code' | 'constraint', unknown>)[name]
    : undefined;
}

/** What kind of failure it is; each kind has one HTTP status (http-errors.filter.ts). */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'too_large'
  | 'unsupported'
  | 'unprocessable'
  | 'too_many'
  | 'unavailable';

/**
 * A failure that its caller is told about: one sentence that says what to change, and a code that never changes.
 * Everything that is not an AppError is a bug, and its text stays in the log.
 */
export class AppError extends Error {
  constructor(
    readonly kind: ErrorKind,
    readonly code: string,
    message: string,
    /** Further members of the answer's body. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = 'AppError';
  }
}

/** The code of a request that does not say who sends it. */
export const TOKEN_MISSING = 'TOKEN_MISSING';

/** A request that waited its time and was never begun. */
export function timedOut(): AppError {
  return new AppError(
    'unavailable',
    'TIMED_OUT',
    'The request waited too long and was not begun: nothing was done, try again',
  );
}

/** One more than may wait. */
export function overloaded(): AppError {
  return new AppError(
    'unavailable',
    'OVERLOADED',
    'Too many requests are waiting: nothing was done, try again shortly',
  );
}

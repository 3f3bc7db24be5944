import type { Cause } from '../common/cause.js';

/** The patterns of the messages that say: look at this conference now. */
export const CONFIRMATION_EXPIRED = 'confirmation.expired';
export const CONFERENCE_STARTS = 'conference.starts';
const TIMER_PATTERNS = [CONFIRMATION_EXPIRED, CONFERENCE_STARTS] as const;
export type TimerPattern = (typeof TIMER_PATTERNS)[number];

/** The headers of a message that say what it was set for. A message without them, or with others' in them, is none the worse. */
export const REQUEST_ID_HEADER = 'x-request-id';
export const TRACEPARENT_HEADER = 'traceparent';

/** An alarm to be set. Instants are milliseconds since 1970 by the database's clock. */
export interface Timer {
  pattern: TimerPattern;
  conferenceId: number;
  dueAt: number;
  /** What it was set for, where that is known. It says nothing of when, or of what is done then. */
  cause?: Cause;
}

/** A timer's `data` on the wire; its `pattern` stands beside it. `due_at` is ISO 8601 in UTC with milliseconds. */
export interface TimerPayload {
  conference_id: number;
  due_at: string;
}

/** A message that is no timer; its text says why. */
export class MalformedTimerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedTimerError';
  }
}

const MAX_CONFERENCE_ID = 2_147_483_647;

export function isTimerPattern(value: unknown): value is TimerPattern {
  return TIMER_PATTERNS.some((pattern) => pattern === value);
}

/** @throws RangeError for a `dueAt` that is no instant */
export function toTimerPayload(timer: Timer): TimerPayload {
  return { conference_id: timer.conferenceId, due_at: new Date(timer.dueAt).toISOString() };
}

/**
 * Reads a message that anybody may have put on the queue. Members it does not know are left alone: a newer version
 * may send them.
 * @throws MalformedTimerError
 */
export function parseTimer(pattern: unknown, data: unknown): Timer {
  if (!isTimerPattern(pattern)) throw new MalformedTimerError('no known pattern');
  if (typeof data !== 'object' || data === null || Array.isArray(data)) throw new MalformedTimerError('no data object');
  const { conference_id: conferenceId, due_at: dueAt } = data as Partial<Record<keyof TimerPayload, unknown>>;
  if (!isConferenceId(conferenceId)) {
    throw new MalformedTimerError(`conference_id is not an integer from 1 to ${MAX_CONFERENCE_ID}`);
  }
  if (!isInstant(dueAt)) throw new MalformedTimerError('due_at is not an instant such as 2027-01-15T10:15:30.000Z');
  return { pattern, conferenceId, dueAt: Date.parse(dueAt) };
}

function isConferenceId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_CONFERENCE_ID;
}

function isInstant(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const time = Date.parse(value);
  return !Number.isNaN(time) && new Date(time).toISOString() === value;
}

import type { BookingStatus } from '../../src/cli/api-client.js';
import type { InstanceName } from './plan.js';

/** What a client asked for; `look` is any request that changes nothing. */
export type Ask =
  { kind: 'book'; conference: string } | { kind: 'confirm' | 'cancel'; bookingId: number } | { kind: 'look' };

/** What came back, as far as it is judged. */
export interface Told {
  status: number;
  /** The error's code, null of a success. */
  code: string | null;
  message: string;
  hasRetryAfter: boolean;
  /** Of a booking: its number and status. */
  bookingId: number | null;
  bookingStatus: BookingStatus | null;
}

/** One request and its answer. Times are ms since 1970 by this machine's clock, which is the database's, too. */
export interface Entry {
  ask: Ask;
  /** Who asks. */
  userId: string;
  instance: InstanceName;
  /** Equal keys are one request, however often it is sent; null: the service knows no keys, or none was given. */
  idempotencyKey: string | null;
  sentAt: number;
  /** When it was answered, or when the connection broke. */
  endedAt: number;
  /** `unknown`: the connection broke, so it may have been done or not. */
  told: Told | 'unknown';
}

/** Every request of every client, in order of their ends. */
export class Journal {
  readonly entries: Entry[] = [];

  add(entry: Entry): void {
    this.entries.push(entry);
  }
}

import assert from 'node:assert/strict';
import type { BookingStatus } from '../../../src/cli/api-client.js';
import type { Backstage } from '../../support/seating.js';

/** What a client was answered. Instants are ms since 1970. */
export interface Entry {
  what: 'book' | 'confirm' | 'cancel';
  userId: string;
  /** Of the conference, where it was booked. */
  name: string | null;
  /** Asked for, or answered. */
  bookingId: number;
  status: number;
  code: string | undefined;
  booked: BookingStatus | undefined;
  position: number | null | undefined;
  sentAt: number;
  answeredAt: number;
}

/** One line of `booking_transitions`, with whose booking it was. */
interface Step {
  booking_id: number;
  name: string;
  user_id: string;
  from_status: BookingStatus | null;
  to_status: BookingStatus;
  reason: string;
  at: number;
}

interface Place {
  name: string;
  total_slots: number;
  starts_at: number;
  ends_at: number;
}

/** A client measures from outside, and in whole milliseconds. */
const SLACK_MS = 2;

const CAUSES: Record<Entry['what'], string[]> = {
  book: ['booked', 'joined_waitlist'],
  confirm: ['confirmed'],
  cancel: ['canceled', 'declined'],
};

/** What really happened, in the order in which it did in each conference. */
export class History {
  private readonly byBooking = new Map<number, Step[]>();

  private constructor(
    private readonly steps: readonly Step[],
    private readonly places: ReadonlyMap<string, Place>,
  ) {
    for (const step of steps) {
      const known = this.byBooking.get(step.booking_id);
      if (known === undefined) this.byBooking.set(step.booking_id, [step]);
      else known.push(step);
    }
  }

  static async read(backstage: Backstage): Promise<History> {
    const steps = await backstage.query<Step>(
      `SELECT booking_id::int, name, user_id, from_status, to_status, reason,
         floor(extract(epoch FROM at) * 1000)::float8 AS at
       FROM booking_transitions JOIN bookings USING (booking_id) JOIN conferences USING (conference_id)
       ORDER BY transition_id`,
    );
    const places = await backstage.query<Place>(
      `SELECT name, total_slots, extract(epoch FROM starts_at)::float8 * 1000 AS starts_at,
         extract(epoch FROM ends_at)::float8 * 1000 AS ends_at FROM conferences`,
    );
    return new History(steps, new Map(places.map((place) => [place.name, place])));
  }

  /** How often each reason stands there. */
  get counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { reason } of this.steps) counts[reason] = (counts[reason] ?? 0) + 1;
    return counts;
  }

  /** Every answered success stands there exactly once, and nothing that people do stands there without an answer. */
  expectSameSuccesses(journal: readonly Entry[]): void {
    for (const what of ['book', 'confirm', 'cancel'] as const) {
      const told = journal.filter((entry) => entry.what === what && entry.status < 300).map((entry) => entry.bookingId);
      const done = this.steps.filter(({ reason }) => CAUSES[what].includes(reason)).map((step) => step.booking_id);
      assert.deepEqual(told.sort(byNumber), done.sort(byNumber), `what was answered to /${what} is not what was done`);
    }
  }

  /** Plays it all again, conference by conference: never oversold, never idle, and everybody in order of the line. */
  expectFairness(journal: readonly Entry[]): void {
    const answers = new Map(
      journal.filter(({ what, status }) => what === 'book' && status === 201).map((entry) => [entry.bookingId, entry]),
    );
    for (const { name, total_slots: slots } of this.places.values()) {
      const line: number[] = [];
      let taken = 0;
      for (const step of this.steps.filter((each) => each.name === name)) {
        const { booking_id: id, from_status: from, to_status: to } = step;
        const what = `booking ${id} of ${name}, ${step.reason}`;
        if (from === 'CONFIRMED' || from === 'ConfirmationPending') taken -= 1;
        if (from === 'WAITLISTED') {
          assert.ok(line.includes(id), `${what}: it is not in the line`);
          if (to === 'ConfirmationPending') assert.equal(id, line[0], `${what}: it is not the head of the line`);
          line.splice(line.indexOf(id), 1);
        }
        if (to === 'CONFIRMED' || to === 'ConfirmationPending') taken += 1;
        if (to === 'WAITLISTED') line.push(id);
        assert.ok(taken <= slots, `${what}: ${taken} of ${slots} slots are taken`);
        if (from !== null) continue;
        if (to === 'CONFIRMED') assert.equal(line.length, 0, `${what}: past the line`);
        else assert.equal(taken, slots, `${what}: a slot was free`);
        const answer = answers.get(id);
        const position = to === 'CONFIRMED' ? null : line.length;
        assert.deepEqual([answer?.name, answer?.userId], [name, step.user_id], what);
        assert.deepEqual([answer?.booked, answer?.position], [to, position], what);
      }
    }
  }

  /** Every refusal had its reason at some moment between the question and the answer. */
  expectReasons(journal: readonly Entry[]): void {
    const refused = journal.filter(({ status }) => status >= 300);
    for (const entry of refused) assert.ok(this.isReasonable(entry), `without a reason: ${JSON.stringify(entry)}`);
  }

  private isReasonable(entry: Entry): boolean {
    const { userId, bookingId, code } = entry;
    const place = this.places.get(entry.name ?? this.byBooking.get(bookingId)?.[0]?.name ?? '');
    if (place === undefined) return false;
    const isThere = (where: (other: Place) => boolean): boolean =>
      [...this.byBooking].some(([id, [first]]) => {
        const other = this.places.get(first?.name ?? '');
        const isTheirs = first?.user_id === userId && other !== undefined && where(other);
        return isTheirs && this.wasDuring(entry, id, (status) => status !== null && status !== 'CANCELED');
      });
    switch (code) {
      case 'ALREADY_BOOKED':
        return isThere((other) => other === place);
      case 'OVERLAPPING_BOOKING':
        return isThere((other) => other.starts_at < place.ends_at && place.starts_at < other.ends_at);
      case 'CONFERENCE_STARTED':
        return entry.answeredAt + SLACK_MS >= place.starts_at;
      case 'ACCESS_DENIED':
        return this.byBooking.get(bookingId)?.[0]?.user_id !== userId;
      case 'NOT_CONFIRMATION_PENDING':
        return this.wasDuring(entry, bookingId, (status) => status !== 'ConfirmationPending');
      case 'DEADLINE_PASSED':
        return this.wasDuring(entry, bookingId, (status) => status === 'ConfirmationPending');
      case 'ALREADY_CANCELED':
        return this.wasDuring(entry, bookingId, (status) => status === 'CANCELED');
      case undefined:
      default:
        return false;
    }
  }

  private wasDuring(
    { sentAt, answeredAt }: Entry,
    bookingId: number,
    isSo: (status: BookingStatus | null) => boolean,
  ): boolean {
    const steps = this.byBooking.get(bookingId) ?? [];
    return steps.some(({ to_status, at }, index) => {
      const until = steps[index + 1]?.at ?? Infinity;
      return at <= answeredAt + SLACK_MS && until >= sentAt - SLACK_MS && isSo(to_status);
    });
  }
}

const byNumber = (a: number, b: number): number => a - b;

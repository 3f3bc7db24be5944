import { type ApiClient, type Booking } from '../api-client.js';
import { pause } from './pause.js';
import { type AttendeePlan } from './plan.js';
import { ask } from './requests.js';
import { type RequestStatistics } from './statistics.js';
import { type Tallies } from './tallies.js';

/** What all attendees of a run share. */
export interface Scene {
  api: ApiClient;
  statistics: RequestStatistics;
  tallies: Tallies;
  /** Sentences about rules that were seen broken. */
  broken: Set<string>;
  /** Given when the run is over. */
  over: AbortSignal;
}

interface OwnBooking {
  id: number;
  conference: string;
  status: Booking['status'];
  /** Of the open offer, in milliseconds since the epoch. */
  deadlineMs: number | null;
}

/** Someone in line asks this often at its head, less often the longer the line before them, and the slower the answers. */
const LOOK_EVERY_MS = 500;
const LOOK_LATER_PER_PLACE_MS = 60;
const LOOK_LATER_PER_ANSWER_MS = 10;
const LOOK_AT_LEAST_EVERY_MS = 60_000;
/** Of the time that an offer has left, an attendee who wants it thinks at most this part. */
const THINKING_SHARE = 0.3;
/** The clocks of service and client may differ by this much when the two judge whether a confirm came in time. */
const CLOCK_TOLERANCE_MS = 250;

/** Plays one plan, one request after the other. */
export class Attendee {
  private readonly bookings = new Map<string, OwnBooking>();
  /** Names of the conferences whose slot this attendee will give back. */
  private readonly toCancel: string[] = [];
  /** The best place in any line. */
  private place = Infinity;
  private answerMs = 0;

  constructor(
    readonly userId: string,
    readonly plan: AttendeePlan,
    private readonly scene: Scene,
  ) {}

  async register(): Promise<void> {
    const { api, statistics } = this.scene;
    await ask(statistics, 'register', () => api.addUser({ user_id: this.userId, topics: this.plan.topics }));
  }

  /** Books all wishes, and in spite of one of them what must be refused. */
  async bookWishes(): Promise<void> {
    const { api, statistics, tallies, broken } = this.scene;
    for (const name of this.plan.wishes) {
      const booked = await ask(statistics, 'book', () => api.book(this.userId, name));
      if (booked === null) continue;
      tallies.of(name).booked += 1;
      const { booking_id: id, status, waitlist_position: place } = booked;
      this.place = Math.min(this.place, place ?? Infinity);
      this.bookings.set(name, { id, conference: name, status, deadlineMs: null });
    }
    const { stubborn } = this.plan;
    if (stubborn === null || !this.bookings.has(stubborn.because)) return;
    const isRefusalExpected = (): boolean => true;
    const { name, because } = stubborn;
    const booked = await ask(statistics, 'book', () => api.book(this.userId, name), isRefusalExpected);
    if (booked !== null) broken.add(`${this.userId} got "${name}" in spite of an active booking for "${because}".`);
  }

  isConfirmedAt(conference: string): boolean {
    return this.bookings.get(conference)?.status === 'CONFIRMED';
  }

  willCancel(conference: string): void {
    this.toCancel.push(conference);
  }

  hasCancelsToDo(): boolean {
    return this.toCancel.length > 0;
  }

  hasOpenOffer(): boolean {
    return [...this.bookings.values()].some(({ deadlineMs }) => deadlineMs !== null);
  }

  /** Cancels when it is time, watches the own bookings and answers offers as planned, until nothing is left to wait for. */
  async liveOn(): Promise<void> {
    const { over } = this.scene;
    const cancelAt = performance.now() + this.plan.cancelAfterMs;
    while (!this.isOver() && (this.hasCancelsToDo() || this.isWaiting())) {
      const untilCancel = this.hasCancelsToDo() ? cancelAt - performance.now() : Infinity;
      if (untilCancel <= 0) {
        await this.cancelSlots();
        continue;
      }
      const untilLook = this.isWaiting() ? this.lookEveryMs() : Infinity;
      await pause(Math.min(untilCancel, untilLook), over);
      if (!this.isOver() && untilLook < untilCancel) await this.look();
    }
  }

  /** Sees what became of the own bookings, and answers the offers among them unless the run is over. */
  async look(): Promise<void> {
    const { api, statistics } = this.scene;
    const askedAt = performance.now();
    const seen = await ask(statistics, 'look up', () => api.userBookings(this.userId));
    this.answerMs = performance.now() - askedAt;
    if (seen === null) return;
    const places = seen.flatMap(({ waitlist_position: place }) => place ?? []);
    this.place = places.length === 0 ? 1 : Math.min(...places);
    const offered: OwnBooking[] = [];
    for (const booking of seen) {
      const own = this.bookings.get(booking.conference_name);
      if (own?.id === booking.booking_id && this.isNewOffer(own, booking)) offered.push(own);
    }
    for (const own of offered) {
      if (this.isOver()) return;
      await this.answerOffer(own);
    }
  }

  private isOver(): boolean {
    return this.scene.over.aborted;
  }

  private isWaiting(): boolean {
    return [...this.bookings.values()].some(
      ({ status }) => status === 'WAITLISTED' || status === 'ConfirmationPending',
    );
  }

  private lookEveryMs(): number {
    const later = LOOK_LATER_PER_PLACE_MS * this.place + LOOK_LATER_PER_ANSWER_MS * this.answerMs;
    // Not all at the same moment.
    return (0.75 + Math.random() / 2) * Math.min(LOOK_AT_LEAST_EVERY_MS, LOOK_EVERY_MS + later);
  }

  private async cancelSlots(): Promise<void> {
    for (const conference of this.toCancel.splice(0)) {
      const own = this.bookings.get(conference);
      if (own !== undefined) await this.cancel(own);
    }
  }

  private async cancel(own: OwnBooking): Promise<boolean> {
    const { api, statistics } = this.scene;
    const canceled = await ask(statistics, 'cancel', () => api.cancel(own.id, this.userId));
    if (canceled === null) return false;
    own.status = 'CANCELED';
    own.deadlineMs = null;
    return true;
  }

  /** Takes over what was seen of a booking, and says whether it brings an offer not seen before. */
  private isNewOffer(own: OwnBooking, seen: Booking): boolean {
    const { broken, tallies } = this.scene;
    const { conference } = own;
    const isFinal = own.status === 'CONFIRMED' || own.status === 'CANCELED';
    if (isFinal && seen.status !== own.status) {
      broken.add(`Booking ${own.id} of ${this.userId} went from ${own.status} to ${seen.status} by itself.`);
    }
    const deadlineMs = seen.confirmation_deadline === null ? null : Date.parse(seen.confirmation_deadline);
    own.status = seen.status;
    if (deadlineMs === own.deadlineMs) return false;
    if (own.deadlineMs !== null) tallies.offerEnded(conference, 'missed');
    own.deadlineMs = deadlineMs;
    if (deadlineMs === null) return false;
    tallies.offerSeen(conference, deadlineMs);
    return true;
  }

  private async answerOffer(own: OwnBooking): Promise<void> {
    const { over, tallies } = this.scene;
    const deadlineMs = own.deadlineMs ?? 0;
    if (this.plan.onOffer === 'miss') return;
    await pause(Math.max(0, Math.min(this.plan.reactionMs, THINKING_SHARE * (deadlineMs - Date.now()))), over);
    if (this.plan.onOffer === 'decline') {
      if (await this.cancel(own)) tallies.offerEnded(own.conference, 'declined');
      return;
    }
    await this.confirm(own, deadlineMs);
  }

  private async confirm(own: OwnBooking, deadlineMs: number): Promise<void> {
    const { api, statistics, tallies } = this.scene;
    const isTooLate = (): boolean => Date.now() > deadlineMs - CLOCK_TOLERANCE_MS;
    const confirmed = await ask(statistics, 'confirm', () => api.confirm(own.id, this.userId), isTooLate);
    if (confirmed === null) return;
    own.status = 'CONFIRMED';
    own.deadlineMs = null;
    tallies.offerEnded(own.conference, 'taken');
  }
}

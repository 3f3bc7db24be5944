/** What this run's attendees did at one conference. */
export interface Tally {
  /** Bookings made. */
  booked: number;
  /** Offers seen, each once. */
  offers: number;
  taken: number;
  declined: number;
  missed: number;
}

/** The tallies of all conferences, and what the run needs to know of all of them together. */
export class Tallies {
  readonly byConference = new Map<string, Tally>();
  /** The longest time an offer was seen to have left, close to the confirmation window; 0 before the first. */
  windowMs = 0;
  /** When something last happened to an offer, by performance.now(). */
  lastOfferAt = performance.now();

  of(conference: string): Tally {
    const known = this.byConference.get(conference);
    if (known !== undefined) return known;
    const tally = { booked: 0, offers: 0, taken: 0, declined: 0, missed: 0 };
    this.byConference.set(conference, tally);
    return tally;
  }

  /** @param deadlineMs in milliseconds since the epoch. */
  offerSeen(conference: string, deadlineMs: number): void {
    this.of(conference).offers += 1;
    this.windowMs = Math.max(this.windowMs, deadlineMs - Date.now());
    this.lastOfferAt = performance.now();
  }

  offerEnded(conference: string, how: 'taken' | 'declined' | 'missed'): void {
    this.of(conference)[how] += 1;
    this.lastOfferAt = performance.now();
  }

  total(): Tally {
    const total = { booked: 0, offers: 0, taken: 0, declined: 0, missed: 0 };
    for (const tally of this.byConference.values()) {
      total.booked += tally.booked;
      total.offers += tally.offers;
      total.taken += tally.taken;
      total.declined += tally.declined;
      total.missed += tally.missed;
    }
    return total;
  }
}

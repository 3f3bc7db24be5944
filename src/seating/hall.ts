import type {
  ArchivedSeat,
  BookingStatus,
  ConferenceSeats,
  Instant,
  Policy,
  Seat,
  Transition,
  TransitionReason,
} from './model.js';

/** What a batch of commands was loaded with, and what is decided on it. Nothing here touches a database or a clock. */
export interface HallContents {
  now: Instant;
  policy: Policy;
  conferences: ConferenceSeats[];
  /** Who exists, of those the commands name. */
  userIds: string[];
  /** The bookings that commands name, that are due, and that may stand in the way of a new one. */
  seats: Seat[];
  /** Of the bookings that commands name, those of the archive. */
  archived?: readonly ArchivedSeat[];
  /** For each conference the front of its line: as many as slots may come free, or the whole line where it is shorter. */
  lines: Map<number, Seat[]>;
  /** Conferences of which more is due than was loaded. */
  cutShort: Set<number>;
  /** Ids for new bookings, ascending, one for each command that may make one. */
  bookingIds: number[];
}

/**
 * The hall while a batch is decided: what one command changed, the next one sees.
 * Every change of a status goes through {@link begin} or {@link move}, which keep the conference's counters and the
 * line, and write down the transition: the counters cannot drift from what they count.
 */
export class Hall {
  readonly now: Instant;
  readonly policy: Policy;
  readonly transitions: Transition[] = [];
  readonly created = new Set<Seat>();
  readonly changed = new Set<Seat>();
  readonly touched = new Set<ConferenceSeats>();
  /** How late what was due was dealt with, ms: each offer that was missed, and each start. */
  readonly lateness: { readonly offers: number[]; readonly starts: number[] } = { offers: [], starts: [] };

  private readonly conferencesById = new Map<number, ConferenceSeats>();
  private readonly conferencesByName = new Map<string, ConferenceSeats>();
  private readonly seatsById = new Map<number, Seat>();
  private readonly seatsByUser = new Map<string, Seat[]>();
  private readonly archivedById: ReadonlyMap<number, ArchivedSeat>;
  private readonly lines = new Map<number, Line>();
  private readonly cutShort: ReadonlySet<number>;
  private readonly bookingIds: number[];

  constructor(contents: HallContents) {
    this.now = contents.now;
    this.policy = contents.policy;
    this.cutShort = contents.cutShort;
    this.bookingIds = [...contents.bookingIds].reverse();
    this.archivedById = new Map((contents.archived ?? []).map((seat) => [seat.bookingId, seat]));
    for (const conference of contents.conferences) {
      this.conferencesById.set(conference.conferenceId, conference);
      this.conferencesByName.set(conference.name, conference);
    }
    for (const userId of contents.userIds) this.seatsByUser.set(userId, []);
    for (const seat of contents.seats) this.admit(seat);
    for (const [conferenceId, front] of contents.lines) {
      // A booking that was loaded for two reasons is one booking.
      const seats = front.map((seat) => this.admit(seat));
      this.lines.set(conferenceId, new Line(seats, this.conference(conferenceId)));
    }
  }

  findConferenceById(conferenceId: number): ConferenceSeats | null {
    return this.conferencesById.get(conferenceId) ?? null;
  }

  conference(conferenceId: number): ConferenceSeats {
    const conference = this.findConferenceById(conferenceId);
    if (conference === null) throw new Error(`Conference ${conferenceId} was not loaded`);
    return conference;
  }

  findConference(name: string): ConferenceSeats | null {
    return this.conferencesByName.get(name) ?? null;
  }

  /** A booking that was there before this batch. Nobody can know the number of one that is only being made: a guess is no one. */
  findSeat(bookingId: number): Seat | null {
    const seat = this.seatsById.get(bookingId);
    return seat === undefined || this.created.has(seat) ? null : seat;
  }

  findArchivedSeat(bookingId: number): ArchivedSeat | null {
    return this.archivedById.get(bookingId) ?? null;
  }

  /**
   * The active bookings of a user that may stand in the way of one in this batch: those that overlap it, and where there is
   * a limit all whose conferences have not ended. null: there is no such user.
   */
  findActiveSeats(userId: string): Seat[] | null {
    return this.seatsByUser.get(userId)?.filter((seat) => seat.status !== 'CANCELED') ?? null;
  }

  /** All bookings of a conference that were loaded and are active, in no order. */
  activeSeats(conferenceId: number): Seat[] {
    return [...this.seatsById.values()].filter(
      (seat) => seat.conferenceId === conferenceId && seat.status !== 'CANCELED',
    );
  }

  /** Whether more is due in this conference than was loaded. */
  isCutShort(conferenceId: number): boolean {
    return this.cutShort.has(conferenceId);
  }

  headOfLine(conference: ConferenceSeats): Seat {
    const line = this.lines.get(conference.conferenceId);
    if (line === undefined) throw new Error(`The line of conference ${conference.conferenceId} was not loaded`);
    return line.head();
  }

  /** A new booking takes a free slot, or the last place in the line. */
  begin(
    conference: ConferenceSeats,
    userId: string,
    status: 'CONFIRMED' | 'WAITLISTED',
    { organizerId }: { organizerId?: string | undefined } = {},
  ): Seat {
    const bookingId = this.bookingIds.pop();
    if (bookingId === undefined) throw new Error('More bookings were made than commands asked for');
    const seat: Seat = {
      bookingId,
      conferenceId: conference.conferenceId,
      userId,
      startsAt: conference.startsAt,
      endsAt: conference.endsAt,
      createdAt: this.now,
      status,
      queueTicket: null,
      confirmationDeadline: null,
      missedOffers: 0,
      canceledAt: null,
    };
    this.admit(seat);
    this.created.add(seat);
    this.enter(conference, seat, null);
    this.record(seat, null, status === 'CONFIRMED' ? 'booked' : 'joined_waitlist', { organizerId });
    return seat;
  }

  /** A booking goes to another status. */
  move(
    seat: Seat,
    to: BookingStatus,
    reason: TransitionReason,
    more: { deadline?: Instant; causeBookingId?: number; organizerId?: string | undefined } = {},
  ): void {
    const conference = this.conference(seat.conferenceId);
    const from = seat.status;
    if (reason === 'missed' || reason === 'missed_too_often') {
      this.lateness.offers.push(this.now - (seat.confirmationDeadline ?? this.now));
    }
    leave(conference, from);
    seat.status = to;
    this.enter(conference, seat, more.deadline ?? null);
    if (!this.created.has(seat)) this.changed.add(seat);
    this.record(seat, from, reason, more);
  }

  closeWaitlist(conference: ConferenceSeats): void {
    conference.waitlistClosedAt = this.now;
    this.lateness.starts.push(this.now - conference.startsAt);
    this.touched.add(conference);
  }

  private enter(conference: ConferenceSeats, seat: Seat, deadline: Instant | null): void {
    switch (seat.status) {
      case 'CONFIRMED':
        conference.availableSlots -= 1;
        seat.queueTicket = null;
        break;
      case 'ConfirmationPending':
        conference.availableSlots -= 1;
        conference.heldSlots += 1;
        break;
      case 'WAITLISTED':
        conference.waitlisted += 1;
        conference.lastTicket += 1;
        seat.queueTicket = conference.lastTicket;
        this.lines.get(conference.conferenceId)?.join(seat);
        break;
      case 'CANCELED':
        seat.queueTicket = null;
        seat.canceledAt = this.now;
        break;
    }
    seat.confirmationDeadline = deadline;
    this.touched.add(conference);
  }

  private record(
    { bookingId, status: toStatus, userId }: Seat,
    fromStatus: BookingStatus | null,
    reason: TransitionReason,
    { causeBookingId, organizerId }: { causeBookingId?: number; organizerId?: string | undefined },
  ): void {
    this.transitions.push({
      bookingId,
      fromStatus,
      toStatus,
      reason,
      causeBookingId: causeBookingId ?? null,
      // Organizers who act for themselves do what any owner does.
      organizerId: organizerId === undefined || organizerId === userId ? null : organizerId,
    });
  }

  private admit(seat: Seat): Seat {
    const known = this.seatsById.get(seat.bookingId);
    if (known !== undefined) return known;
    this.seatsById.set(seat.bookingId, seat);
    this.seatsByUser.get(seat.userId)?.push(seat);
    return seat;
  }
}

function leave(conference: ConferenceSeats, from: BookingStatus): void {
  switch (from) {
    case 'CONFIRMED':
      conference.availableSlots += 1;
      break;
    case 'ConfirmationPending':
      conference.availableSlots += 1;
      conference.heldSlots -= 1;
      break;
    case 'WAITLISTED':
      conference.waitlisted -= 1;
      break;
    case 'CANCELED':
      throw new Error('A canceled booking stays canceled');
  }
}

/**
 * The line of one conference: its front as loaded, and behind it whoever joined in this batch. Between the two may stand
 * others that were not loaded; to reach past the front then is a mistake of whoever loaded it, never a skipped person.
 */
class Line {
  private readonly seats: Seat[];
  private next = 0;
  private readonly hasUnloaded: boolean;
  private readonly lastTicketLoaded: number;

  constructor(front: Seat[], conference: ConferenceSeats) {
    this.seats = [...front];
    this.hasUnloaded = front.length < conference.waitlisted;
    this.lastTicketLoaded = conference.lastTicket;
  }

  join(seat: Seat): void {
    this.seats.push(seat);
  }

  head(): Seat {
    for (; this.next < this.seats.length; this.next++) {
      const seat = this.seats[this.next];
      // Whoever was offered a slot or left since then stands here no longer.
      if (seat?.status !== 'WAITLISTED') continue;
      if (this.hasUnloaded && (seat.queueTicket ?? 0) > this.lastTicketLoaded) break;
      return seat;
    }
    throw new Error('The line is longer than what was loaded of it');
  }
}

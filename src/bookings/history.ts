import type { TransitionReason } from '../seating/model.js';

/** A step of a booking, as it was written down. */
export interface Step {
  reason: TransitionReason;
  at: Date;
  /** Where somebody's slot was passed on: whose, and what they did; the reason is null where it is no longer known. */
  cause: { bookingId: number; reason: TransitionReason | null } | null;
  /** The organizer who took it in the owner's place. */
  organizerId: string | null;
}

/** What a booking did whose slot became free, where it was not canceled. */
const DID: Partial<Record<TransitionReason, string>> = {
  declined: 'declined its offer',
  missed: 'did not take its offer',
  missed_too_often: 'did not take its offer',
};

/** Why each step of one booking was taken, in plain words. @param steps in the order in which they were taken */
export function tellHistory(bookingId: number, steps: readonly Step[]): string[] {
  let offeredAt: Date | null = null;
  return steps.map((step) => {
    const by = step.organizerId === null ? '' : `, by organizer ${step.organizerId}`;
    const sentence = tell(bookingId, step, offeredAt) + by;
    if (step.reason === 'offered') offeredAt = step.at;
    return sentence;
  });
}

function tell(bookingId: number, { reason, cause }: Step, offeredAt: Date | null): string {
  const offer = offeredAt === null ? 'the offer' : `the offer of ${timeOf(offeredAt)}`;
  switch (reason) {
    case 'booked':
      return 'confirmed: a slot was free';
    case 'joined_waitlist':
      return 'to the end of the line: no slot was free';
    case 'offered':
      return `offered: ${whyFree(bookingId, cause)}`;
    case 'confirmed':
      return `confirmed: ${offer} was taken`;
    case 'missed':
      return `to the end of the line: ${offer} was not taken`;
    case 'missed_too_often':
      return `canceled: ${offer} was not taken, like those before it`;
    case 'declined':
      return `canceled: ${offer} was declined`;
    case 'canceled':
      return 'canceled: as was asked for';
    case 'conference_started':
      return 'canceled: the conference started';
  }
}

function whyFree(bookingId: number, cause: Step['cause']): string {
  if (cause === null) return 'a slot became free';
  if (cause.bookingId === bookingId) return 'nobody else was waiting';
  const did = DID[cause.reason ?? 'canceled'] ?? 'was canceled';
  return `a slot became free when booking ${cause.bookingId} ${did}`;
}

/** The time of day in UTC, HH:MM:SS. */
function timeOf(instant: Date): string {
  return instant.toISOString().slice(11, 19);
}

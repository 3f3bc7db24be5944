import type { Finding } from '../../src/cli/audit/audit-database.js';
import type { Injected } from './faults.js';
import type { Step } from './history.js';
import type { Entry, Told } from './journal.js';
import { traitsOf } from './plan.js';
import { lostMs, type Stall } from './stall-watch.js';

/** All that is judged besides the tables themselves. */
export interface Evidence {
  journal: readonly Entry[];
  /** In order of `transitionId`. */
  history: readonly Step[];
  faults: readonly Injected[];
  windowMs: number;
  sweepMs: number;
  /** When everything was whole again, and no further fault came; ms since 1970. */
  settledAt: number;
  /** When this machine stood still. */
  stalls: readonly Stall[];
  /** Instances that ended by themselves, and how. */
  ownEnds: readonly { instance: string; how: string }[];
  deadlocks: { counted: number; told: readonly string[] };
}

type Row = Record<string, unknown>;

/** A 503 may be the late work of a fault that long ago: a connection is given up after 8 s, and another tried for 2 s. */
export const GRACE_MS = 10_000;
/** Beyond the sweep's interval. */
const LATENESS_MS = 1_000;
/** Clocks are read to the millisecond, and rounded differently. */
const PRECISION_MS = 5;
/** What the contract allows as a 5xx. */
const DOCUMENTED_503 = new Set(['OVERLOADED', 'TIMED_OUT', 'DATABASE_UNAVAILABLE']);
const REFUSED = new Set([400, 404]);
/** What says that there was more to do than could be done. */
const BUSY = new Set(['OVERLOADED', 'TIMED_OUT']);
/** A machine that stood still for so long, ms, of the 5 s that a request waits at most, is as good a reason as a fault. */
const STALLED_MS = 500;

/** Judges everything, and finds for each rule the rows that break it. Pure. */
export function judge(evidence: Evidence): Finding[] {
  const byBooking = groupBy(evidence.history, ({ bookingId }) => bookingId);
  const { outOfLine, broken } = replay(evidence);
  return [
    finding('every success that was answered is in the transitions exactly once', findLost(evidence, byBooking)),
    finding('nothing was done that was refused, or that nobody asked for', findUnasked(evidence)),
    finding('offers went in the order of the line, and nobody passed it', outOfLine),
    finding('at every step: not oversold, no slot idle, no offer taken late or ended early', broken),
    finding(
      `what fell due after the settling was done within ${evidence.sweepMs + LATENESS_MS} ms`,
      findLate(evidence),
    ),
    finding(
      'every answer was a success, a refusal, or a documented 503 because of a fault',
      findUndocumented(evidence),
    ),
    finding('every request that got no answer was sent to an instance that was being ended', findUnanswered(evidence)),
    finding(
      'no instance ended by itself',
      evidence.ownEnds.map((end) => ({ ...end })),
    ),
    finding('no deadlock, neither counted nor in the log', findDeadlocks(evidence)),
  ];
}

function finding(rule: string, rows: Row[]): Finding {
  return { rule, total: rows.length, offending: rows.slice(0, 20) };
}

/**
 * What an answer says of what was done. A 503 says that nothing was; but one, after a database that stayed away while it
 * was written down, says that it is not known.
 */
export function meaningOf(told: Entry['told']): 'done' | 'not done' | 'not known' {
  if (told === 'unknown') return 'not known';
  if (told.status === 200 || told.status === 201) return 'done';
  if (REFUSED.has(told.status)) return 'not done';
  const isUncertain = told.code === 'DATABASE_UNAVAILABLE' && told.message.includes('while this request');
  return told.status === 503 && told.code !== null && DOCUMENTED_503.has(told.code) && !isUncertain
    ? 'not done'
    : 'not known';
}

type Verb = Exclude<Entry['ask']['kind'], 'look'>;

/** Which kind of request a step is the doing of; null: of none, but of time and of others. */
export function verbOf({ reason }: Step): Verb | null {
  switch (reason) {
    case 'booked':
    case 'joined_waitlist':
      return 'book';
    case 'confirmed':
      return 'confirm';
    case 'canceled':
    case 'declined':
      return 'cancel';
    case 'offered':
    case 'missed':
    case 'missed_too_often':
    case 'conference_started':
      return null;
  }
}

function bookingOf({ ask, told }: Entry): number | null {
  if (ask.kind === 'look') return null;
  if (ask.kind !== 'book') return ask.bookingId;
  return told === 'unknown' ? null : told.bookingId;
}

function rowOf({ ask, userId, instance, sentAt, endedAt, told }: Entry, why: string): Row {
  return {
    why,
    request: Object.values(ask).join(' '),
    userId,
    instance,
    answer: told === 'unknown' ? told : `${told.status} ${told.code ?? told.bookingStatus ?? ''}`,
    booking: told === 'unknown' ? null : told.bookingId,
    sentAt: new Date(sentAt).toISOString(),
    endedAt: new Date(endedAt).toISOString(),
  };
}

function stepRow(step: Step, why: string): Row {
  const { transitionId, bookingId, userId, conference, from, to, reason, at } = step;
  return { why, transitionId, bookingId, userId, conference, from, to, reason, at: new Date(at).toISOString() };
}

/** Answered successes without their one step, or that share it with another. */
function findLost({ journal }: Evidence, byBooking: ReadonlyMap<number, Step[]>): Row[] {
  const rows: Row[] = [];
  const claimed = new Set<Step>();
  for (const entry of journal) {
    const { ask, told } = entry;
    if (ask.kind === 'look' || told === 'unknown' || meaningOf(told) !== 'done') continue;
    const steps = (byBooking.get(bookingOf(entry) ?? NaN) ?? []).filter((step) => verbOf(step) === ask.kind);
    const [step] = steps;
    if (step === undefined) rows.push(rowOf(entry, 'it is not in the transitions'));
    else if (steps.length > 1) rows.push(rowOf(entry, `it is in the transitions ${steps.length} times`));
    else if (claimed.has(step)) rows.push(rowOf(entry, 'another success was answered for the same step'));
    else {
      claimed.add(step);
      const trouble = disagreement(entry, told, step);
      if (trouble !== null) rows.push(rowOf(entry, trouble));
    }
  }
  return rows;
}

function disagreement({ ask, userId, sentAt, endedAt }: Entry, told: Told, step: Step): string | null {
  if (ask.kind === 'book') {
    if (step.userId !== userId) return `it was booked for ${step.userId}`;
    if (step.conference !== ask.conference) return `it was booked for ${step.conference}`;
    if (told.bookingStatus !== step.to) return `it became ${step.to}`;
  }
  if (ask.kind === 'confirm' && step.userId !== userId) return `the booking is of ${step.userId}`;
  if (step.at < sentAt - PRECISION_MS || step.at > endedAt + PRECISION_MS) {
    return `it was done at ${new Date(step.at).toISOString()}`;
  }
  return null;
}

/** Steps that no answered success explains, nor a request (one for each) of which it is not known what became of it. */
function findUnasked({ journal, history }: Evidence): Row[] {
  const answered = new Set<string>();
  const open = new Map<string, Entry[]>();
  for (const entry of journal) {
    const { ask, told } = entry;
    if (ask.kind === 'look') continue;
    const meaning = meaningOf(told);
    if (meaning === 'done') answered.add(`${ask.kind} ${bookingOf(entry) ?? ''}`);
    if (meaning !== 'not known') continue;
    const key = keyOfAsk(ask, entry.userId);
    open.set(key, [...(open.get(key) ?? []), entry]);
  }
  const rows: Row[] = [];
  for (const step of history) {
    const verb = verbOf(step);
    if (verb === null || answered.has(`${verb} ${step.bookingId}`)) continue;
    const ask: Entry['ask'] =
      verb === 'book' ? { kind: verb, conference: step.conference } : { kind: verb, bookingId: step.bookingId };
    const candidates = open.get(keyOfAsk(ask, step.userId)) ?? [];
    // It may have been done long after the connection broke, but not before it was sent.
    const index = candidates.findIndex(({ sentAt }) => sentAt <= step.at + PRECISION_MS);
    if (index === -1) rows.push(stepRow(step, 'no success was answered, and every such request was refused'));
    else candidates.splice(index, 1);
  }
  return rows;
}

/** Only its owner confirms a booking; whoever knows its number cancels it. */
function keyOfAsk(ask: Entry['ask'], userId: string): string {
  switch (ask.kind) {
    case 'book':
      return `book ${userId} ${ask.conference}`;
    case 'confirm':
      return `confirm ${userId} ${ask.bookingId}`;
    case 'cancel':
      return `cancel ${ask.bookingId}`;
    case 'look':
      return 'look';
  }
}

/** A conference as its steps make it. */
class Replay {
  readonly line: number[] = [];
  readonly confirmed = new Set<number>();
  /** Bookings with an open offer, and their deadlines. */
  readonly held = new Map<number, number>();

  constructor(private readonly totalSlots: number) {}

  get free(): number {
    return this.totalSlots - this.confirmed.size - this.held.size;
  }

  leave(bookingId: number): void {
    const place = this.line.indexOf(bookingId);
    if (place !== -1) this.line.splice(place, 1);
    this.confirmed.delete(bookingId);
    this.held.delete(bookingId);
  }
}

/** Plays every conference's steps again, in their order, and sees whether each was right when it was made. */
function replay({ history, windowMs }: Evidence): { outOfLine: Row[]; broken: Row[] } {
  const outOfLine: Row[] = [];
  const broken: Row[] = [];
  for (const steps of groupBy(history, ({ conference }) => conference).values()) {
    const [first] = steps;
    if (first === undefined) continue;
    const state = new Replay(first.totalSlots);
    steps.forEach((step, index) => {
      const { bookingId, reason, at, startsAt } = step;
      const deadline = state.held.get(bookingId);
      const [head] = state.line;
      const hasStarted = at >= startsAt;
      if (reason === 'offered' && head !== bookingId)
        outOfLine.push(stepRow(step, `at the head was ${head ?? 'nobody'}`));
      if (reason === 'booked' && head !== undefined) outOfLine.push(stepRow(step, `${state.line.length} were waiting`));
      if (reason === 'joined_waitlist' && head === undefined && state.free > 0)
        outOfLine.push(stepRow(step, `nobody waited, and ${state.free} were free`));
      if (reason === 'confirmed' && at >= (deadline ?? -Infinity))
        broken.push(stepRow(step, `its deadline was ${told(deadline)}`));
      if (reason === 'missed' && at < (deadline ?? Infinity))
        broken.push(stepRow(step, `its deadline was ${told(deadline)}`));
      if ((reason === 'conference_started') !== hasStarted && reason !== 'canceled' && reason !== 'declined')
        broken.push(stepRow(step, `the conference starts ${told(startsAt)}`));
      state.leave(bookingId);
      if (step.to === 'CONFIRMED') state.confirmed.add(bookingId);
      if (step.to === 'WAITLISTED') state.line.push(bookingId);
      if (step.to === 'ConfirmationPending') state.held.set(bookingId, Math.min(at + windowMs, startsAt));
      if (state.free < 0) broken.push(stepRow(step, `oversold by ${-state.free}`));
      // Steps of one transaction have one time: only what is left at its end can be idle.
      const isLastOfTransaction = steps[index + 1]?.at !== at;
      if (isLastOfTransaction && !hasStarted && state.free > 0 && state.line.length > 0)
        broken.push(stepRow(step, `${state.free} free while ${state.line.length} wait`));
    });
  }
  return { outOfLine, broken };
}

function told(at: number | undefined): string {
  return at === undefined ? 'none' : new Date(at).toISOString();
}

function findLate({ history, windowMs, sweepMs, settledAt, stalls }: Evidence): Row[] {
  const rows: Row[] = [];
  const deadlines = new Map<number, number>();
  for (const step of history) {
    if (step.reason === 'offered') deadlines.set(step.bookingId, Math.min(step.at + windowMs, step.startsAt));
    const isDue = step.reason === 'missed' || step.reason === 'conference_started';
    const dueAt = step.reason === 'missed' ? deadlines.get(step.bookingId) : step.startsAt;
    if (!isDue || dueAt === undefined || dueAt < settledAt) continue;
    const lateMs = Math.round(step.at - dueAt);
    if (lateMs > sweepMs + LATENESS_MS + lostMs(stalls, dueAt, step.at)) rows.push(stepRow(step, `${lateMs} ms late`));
  }
  return rows;
}

/** Whether a fault had a hand in what became of a request. */
function isExcused(
  { instance, sentAt, endedAt }: Entry,
  faults: readonly Injected[],
  isReason: (fault: Injected, isOwn: boolean) => boolean,
): boolean {
  return faults.some(
    (fault) => fault.from <= endedAt && fault.to + GRACE_MS >= sentAt && isReason(fault, fault.instance === instance),
  );
}

function findUndocumented({ journal, faults, stalls }: Evidence): Row[] {
  return journal.flatMap((entry) => {
    const { told } = entry;
    if (told === 'unknown' || [200, 201].includes(told.status) || (REFUSED.has(told.status) && told.code !== null))
      return [];
    if (told.status !== 503 || !DOCUMENTED_503.has(told.code ?? '')) return [rowOf(entry, 'it is not in the contract')];
    if (!told.hasRetryAfter) return [rowOf(entry, 'it has no Retry-After')];
    const isReason = ({ kind }: Injected, isOwn: boolean): boolean => {
      const { excuses } = traitsOf(kind);
      return excuses === 'everybody' || (excuses === 'its instance' && isOwn);
    };
    const hadNoTime = BUSY.has(told.code ?? '') && lostMs(stalls, entry.sentAt, entry.endedAt) >= STALLED_MS;
    return hadNoTime || isExcused(entry, faults, isReason) ? [] : [rowOf(entry, 'no fault was a reason for it')];
  });
}

function findUnanswered({ journal, faults }: Evidence): Row[] {
  const isReason = ({ kind }: Injected, isOwn: boolean): boolean => isOwn && traitsOf(kind).cutsRequests === true;
  return journal
    .filter((entry) => entry.told === 'unknown' && !isExcused(entry, faults, isReason))
    .map((entry) => rowOf(entry, 'no fault was a reason for it'));
}

function findDeadlocks({ deadlocks }: Evidence): Row[] {
  const rows: Row[] = deadlocks.told.map((line) => ({ line }));
  if (deadlocks.counted > 0) rows.push({ line: `pg_stat_database counts ${deadlocks.counted}` });
  return rows;
}

function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

import type { Injected } from './faults.js';
import type { Step } from './history.js';
import type { Ask, Entry, Told } from './journal.js';
import type { FaultKind } from './plan.js';
import { lostMs } from './stall-watch.js';
import { type Evidence, GRACE_MS, judge, meaningOf } from './verdict.js';

const T0 = 1_800_000_000_000;
const WINDOW_MS = 1_000;
const CONFERENCE = 'Hall of One';

type Change = Partial<Omit<Step, 'bookingId' | 'reason'>>;

const ROUTES: Record<Step['reason'], [Step['from'], Step['to']]> = {
  booked: [null, 'CONFIRMED'],
  joined_waitlist: [null, 'WAITLISTED'],
  offered: ['WAITLISTED', 'ConfirmationPending'],
  confirmed: ['ConfirmationPending', 'CONFIRMED'],
  missed: ['ConfirmationPending', 'WAITLISTED'],
  missed_too_often: ['ConfirmationPending', 'CANCELED'],
  declined: ['ConfirmationPending', 'CANCELED'],
  canceled: ['CONFIRMED', 'CANCELED'],
  conference_started: ['WAITLISTED', 'CANCELED'],
};

/** A step `afterMs` after the beginning, of user `u<booking>` and in a conference with one slot unless told. */
function step(bookingId: number, reason: Step['reason'], afterMs: number, change: Change = {}): Step {
  const [from, to] = ROUTES[reason];
  return {
    transitionId: 0,
    bookingId,
    userId: `u${bookingId}`,
    conference: CONFERENCE,
    totalSlots: 1,
    startsAt: T0 + 3_600_000,
    from,
    to,
    reason,
    at: T0 + afterMs,
    ...change,
  };
}

const DONE: Told = { status: 200, code: null, message: '', hasRetryAfter: false, bookingId: null, bookingStatus: null };

function booked(bookingId: number, bookingStatus: 'CONFIRMED' | 'WAITLISTED'): Told {
  return { ...DONE, status: 201, bookingId, bookingStatus };
}

function refused(status: number, code: string, message = ''): Told {
  return { ...DONE, status, code, message, hasRetryAfter: status === 503 };
}

function entry(userId: string, ask: Ask, told: Entry['told'], afterMs: number, change: Partial<Entry> = {}): Entry {
  const at = T0 + afterMs;
  return { ask, userId, instance: 'api1', idempotencyKey: null, sentAt: at - 10, endedAt: at + 10, told, ...change };
}

const book: Ask = { kind: 'book', conference: CONFERENCE };
const confirm = (bookingId: number): Ask => ({ kind: 'confirm', bookingId });
const cancel = (bookingId: number): Ask => ({ kind: 'cancel', bookingId });

/** 1 is confirmed, 2 and 3 wait; 1 cancels, 2 misses the offer, and 3 takes the next one. */
const HISTORY = [
  step(1, 'booked', 0),
  step(2, 'joined_waitlist', 100),
  step(3, 'joined_waitlist', 200),
  step(1, 'canceled', 300),
  step(2, 'offered', 300),
  step(2, 'missed', 1_310),
  step(3, 'offered', 1_310),
  step(3, 'confirmed', 1_500),
];

const JOURNAL = [
  entry('u1', book, booked(1, 'CONFIRMED'), 0),
  entry('u2', book, booked(2, 'WAITLISTED'), 100),
  entry('u3', book, booked(3, 'WAITLISTED'), 200),
  entry('u9', cancel(1), DONE, 300),
  entry('u2', confirm(2), refused(400, 'DEADLINE_PASSED'), 1_310),
  entry('u3', confirm(3), DONE, 1_500),
];

function fault(kind: FaultKind, fromMs: number, toMs: number, instance: Injected['instance'] = null): Injected {
  const seen = { count: 1, what: 'fault' };
  return { kind, atMs: 0, lastsMs: 0, instance, delayMs: 0, from: T0 + fromMs, to: T0 + toMs, seen };
}

/** What is wrong by rule: the rows' reasons, of the rules that are broken. */
function broken(change: Partial<Evidence>): Record<string, unknown[]> {
  const history = (change.history ?? HISTORY).map((each, index) => ({ ...each, transitionId: index + 1 }));
  const findings = judge({
    journal: JOURNAL,
    faults: [],
    windowMs: WINDOW_MS,
    sweepMs: 2_000,
    settledAt: T0 + 100_000,
    stalls: [],
    ownEnds: [],
    deadlocks: { counted: 0, told: [] },
    ...change,
    history,
  });
  const found = findings.filter(({ total }) => total > 0);
  return Object.fromEntries(
    found.map(({ rule, offending }) => [rule, offending.map(({ why, line, how }) => why ?? line ?? how)]),
  );
}

const LOST = 'every success that was answered is in the transitions exactly once';
const UNASKED = 'nothing was done that was refused, or that nobody asked for';
const LINE = 'offers went in the order of the line, and nobody passed it';
const STEPS = 'at every step: not oversold, no slot idle, no offer taken late or ended early';
const LATE = 'what fell due after the settling was done within 3000 ms';
const ANSWERS = 'every answer was a success, a refusal, or a documented 503 because of a fault';
const UNANSWERED = 'every request that got no answer was sent to an instance that was being ended';

const without = <Item>(items: readonly Item[], index: number): Item[] => items.filter((_, each) => each !== index);
const replaced = <Item>(items: readonly Item[], index: number, item: Item): Item[] => items.with(index, item);
const NOBODY_ASKED = 'no success was answered, and every such request was refused';

describe('the verdict', () => {
  it('finds nothing where all is well', () => {
    expect(broken({})).toEqual({});
  });

  describe('on successes', () => {
    it('misses one that is not in the transitions', () => {
      expect(broken({ history: without(HISTORY, 7) })).toEqual({ [LOST]: ['it is not in the transitions'] });
    });

    it('sees one that is there twice', () => {
      const history = [...HISTORY, step(3, 'confirmed', 1_600)];
      expect(broken({ history })[LOST]).toEqual(['it is in the transitions 2 times']);
    });

    it('sees two that were answered for one step', () => {
      const journal = [...JOURNAL, entry('u9', cancel(1), DONE, 300)];
      expect(broken({ journal })).toEqual({ [LOST]: ['another success was answered for the same step'] });
    });

    it.each([
      ['another user', entry('u8', book, booked(3, 'WAITLISTED'), 200), 'it was booked for u3'],
      [
        'another conference',
        entry('u3', { kind: 'book', conference: 'X' }, booked(3, 'WAITLISTED'), 200),
        /Hall of One/,
      ],
      ['another status', entry('u3', book, booked(3, 'CONFIRMED'), 200), 'it became WAITLISTED'],
      ['another time', entry('u3', book, booked(3, 'WAITLISTED'), 900), /^it was done at/],
    ])('sees one that was answered for %s', (_what, instead, why) => {
      expect(broken({ journal: replaced(JOURNAL, 2, instead) })).toEqual({ [LOST]: [expect.stringMatching(why)] });
    });

    it('sees a confirmation that was answered to a stranger', () => {
      const journal = replaced(JOURNAL, 5, entry('u8', confirm(3), DONE, 1_500));
      expect(broken({ journal })).toEqual({ [LOST]: ['the booking is of u3'] });
    });
  });

  describe('on refusals', () => {
    it.each([
      ['a refusal', refused(400, 'ALREADY_BOOKED')],
      ['a 503 that says that nothing was done', refused(503, 'TIMED_OUT')],
      ['a database that could not be reached', refused(503, 'DATABASE_UNAVAILABLE', 'The database cannot be reached')],
    ])('sees what was done all the same after %s', (_what, told) => {
      const journal = replaced(JOURNAL, 2, entry('u3', book, told, 200));
      expect(broken({ journal, faults: [fault('database killed', 0, 1_000)] })).toEqual({ [UNASKED]: [NOBODY_ASKED] });
    });

    it.each([
      ['no answer', 'unknown' as const],
      [
        'a 503 that says that it is not known',
        refused(503, 'DATABASE_UNAVAILABLE', 'The database went away while this request was being written down'),
      ],
    ])('lets what had %s be done or not', (_what, told) => {
      const journal = replaced(JOURNAL, 2, entry('u3', book, told, 200));
      const faults = [fault('database killed', 0, 1_000), fault('API instance killed', 0, 1_000, 'api1')];
      expect(broken({ journal, faults })).toEqual({});
      expect(broken({ journal: without(JOURNAL, 5), faults, history: HISTORY.slice(0, 7) })).toEqual({});
    });

    it('takes one unanswered request for one step, and none that was sent later', () => {
      const faults = [fault('API instance killed', 0, 9_000, 'api1')];
      const later = replaced(JOURNAL, 2, entry('u3', book, 'unknown', 900));
      expect(broken({ journal: later, faults })).toEqual({ [UNASKED]: [NOBODY_ASKED] });
      const again = { userId: 'u3' };
      const more = [step(3, 'canceled', 2_000), step(2, 'offered', 2_000), step(4, 'joined_waitlist', 2_100, again)];
      const history = [...HISTORY, ...more];
      const once = [...without(JOURNAL, 2), entry('u3', book, 'unknown', 200), entry('u3', cancel(3), DONE, 2_000)];
      expect(broken({ journal: once, faults, history })).toEqual({ [UNASKED]: [NOBODY_ASKED] });
      expect(broken({ journal: [...once, entry('u3', book, 'unknown', 2_100)], faults, history })).toEqual({});
    });

    it('does not take the unanswered request of a stranger for the doing of the owner', () => {
      const journal = replaced(JOURNAL, 5, entry('u8', confirm(3), 'unknown', 1_500));
      expect(broken({ journal, faults: [fault('API instance killed', 0, 9_000, 'api1')] })).toEqual({
        [UNASKED]: [NOBODY_ASKED],
      });
    });

    it('knows what each answer means', () => {
      expect(meaningOf(DONE)).toBe('done');
      expect(meaningOf(refused(404, 'BOOKING_NOT_FOUND'))).toBe('not done');
      expect(meaningOf(refused(503, 'OVERLOADED'))).toBe('not done');
      expect(meaningOf(refused(500, 'INTERNAL_ERROR'))).toBe('not known');
      expect(meaningOf('unknown')).toBe('not known');
    });
  });

  describe('on the line', () => {
    const after = (...steps: Step[]): Record<string, unknown[]> =>
      broken({ journal: [], history: [...HISTORY.slice(0, 3), ...steps] });

    it('sees an offer that went to somebody else than the head', () => {
      expect(after(step(1, 'canceled', 300), step(3, 'offered', 300))[LINE]).toEqual(['at the head was 2']);
    });

    it('sees an offer to whoever missed one go before those who waited meanwhile', () => {
      const steps = [
        step(1, 'canceled', 300),
        step(2, 'offered', 300),
        step(2, 'missed', 1_310),
        step(2, 'offered', 1_310),
      ];
      expect(after(...steps)[LINE]).toEqual(['at the head was 3']);
    });

    it('sees a newcomer pass those who wait', () => {
      const steps = [step(1, 'canceled', 300), step(4, 'booked', 400)];
      expect(after(...steps)[LINE]).toEqual(['2 were waiting']);
    });

    it('sees somebody sent to the line of a conference that has room', () => {
      expect(broken({ journal: [], history: [step(1, 'joined_waitlist', 0)] })[LINE]).toEqual([
        'nobody waited, and 1 were free',
      ]);
    });
  });

  describe('on every step', () => {
    const steps = (...history: Step[]): unknown[] => broken({ journal: [], history })[STEPS] ?? [];
    const offered = HISTORY.slice(0, 5);

    it('sees more confirmed than there are slots', () => {
      expect(steps(step(1, 'booked', 0), step(2, 'booked', 1))).toEqual(['oversold by 1']);
    });

    it('sees a slot idle while somebody waits, at the end of a transaction', () => {
      expect(steps(...HISTORY.slice(0, 4))).toEqual(['1 free while 2 wait']);
      expect(steps(...offered)).toEqual([]);
    });

    it('sees an offer taken at its deadline, or ended before it', () => {
      const deadline = `its deadline was ${new Date(T0 + 1_300).toISOString()}`;
      expect(steps(...offered, step(2, 'confirmed', 1_299))).toEqual([]);
      expect(steps(...offered, step(2, 'confirmed', 1_300))).toEqual([deadline]);
      expect(steps(...offered, step(2, 'missed', 1_299), step(3, 'offered', 1_299))).toEqual([deadline]);
    });

    it('sees what goes on after the start, and a start that comes early', () => {
      const startsAt = T0 + 50;
      const why = `the conference starts ${new Date(startsAt).toISOString()}`;
      expect(steps(step(1, 'booked', 49, { startsAt }), step(1, 'canceled', 60, { startsAt }))).toEqual([]);
      expect(steps(step(1, 'booked', 50, { startsAt }))).toEqual([why]);
      const waiting = [step(1, 'booked', 0, { startsAt }), step(2, 'joined_waitlist', 1, { startsAt })];
      expect(steps(...waiting, step(2, 'conference_started', 49, { startsAt }))).toEqual([why]);
      expect(steps(...waiting, step(2, 'conference_started', 50, { startsAt }))).toEqual([]);
    });
  });

  describe('on lateness', () => {
    const missedAt = (afterMs: number): Step[] => [
      ...HISTORY.slice(0, 5),
      step(2, 'missed', afterMs),
      step(3, 'offered', afterMs),
    ];

    it('sees what was ended late after the settling, beyond what the machine stood still', () => {
      const settled = { journal: [], settledAt: T0 + 1_300 };
      expect(broken({ ...settled, history: missedAt(4_300) })[LATE]).toBeUndefined();
      expect(broken({ ...settled, history: missedAt(4_301) })[LATE]).toEqual(['3001 ms late']);
      expect(
        broken({ ...settled, history: missedAt(4_301), stalls: [{ at: T0 + 2_001, ms: 1 }] })[LATE],
      ).toBeUndefined();
      expect(broken({ journal: [], settledAt: T0 + 1_301, history: missedAt(4_301) })[LATE]).toBeUndefined();
    });

    it('sees a start that was dealt with late', () => {
      const startsAt = T0 + 1_000;
      const history = [
        step(1, 'booked', 0, { startsAt }),
        step(2, 'joined_waitlist', 1, { startsAt }),
        step(2, 'conference_started', 4_001, { startsAt }),
      ];
      expect(broken({ journal: [], settledAt: T0, history })[LATE]).toEqual(['3001 ms late']);
    });
  });

  describe('on answers', () => {
    const answered = (told: Entry['told'], faults: Injected[], afterMs = 5_000): Record<string, unknown[]> =>
      broken({ journal: [...JOURNAL, entry('u5', { kind: 'look' }, told, afterMs)], faults });
    const BUSY = refused(503, 'DATABASE_UNAVAILABLE');

    it('excuses a documented 503 while a fault lasts, and a stated time after it', () => {
      const faults = [fault('database restarted', 0, 1_000)];
      expect(answered(BUSY, faults, 500)).toEqual({});
      expect(answered(BUSY, faults, 1_000 + GRACE_MS)).toEqual({});
      const why = { [ANSWERS]: ['no fault was a reason for it'] };
      expect(answered(BUSY, faults, 1_000 + GRACE_MS + 11)).toEqual(why);
      expect(answered(BUSY, [])).toEqual(why);
    });

    it.each([
      ['is of the broker', fault('broker killed', 0, 9_000)],
      ['is of another instance', fault('connections to the database cut', 0, 9_000, 'api2')],
    ])('excuses no 503 by a fault that %s', (_what, other) => {
      expect(answered(BUSY, [other])).toEqual({ [ANSWERS]: ['no fault was a reason for it'] });
    });

    it.each([
      ['a 500', refused(500, 'INTERNAL_ERROR'), 'it is not in the contract'],
      ['a 503 with another code', refused(503, 'SOMETHING'), 'it is not in the contract'],
      ['a refusal without a code', { ...DONE, status: 400 }, 'it is not in the contract'],
      ['a 503 without Retry-After', { ...BUSY, hasRetryAfter: false }, 'it has no Retry-After'],
    ])('never excuses %s', (_what, told, why) => {
      expect(answered(told, [fault('database killed', 0, 9_000)])).toEqual({ [ANSWERS]: [why] });
    });

    it('excuses a 503 of too much to do on a machine that stood still meanwhile, and no other', () => {
      const looked = (code: string, ms: number): Record<string, unknown[]> => {
        const told = refused(503, code);
        const waited = entry('u5', { kind: 'look' }, told, 5_000, { sentAt: T0, endedAt: T0 + 5_000 });
        return broken({ journal: [...JOURNAL, waited], stalls: [{ at: T0 + 3_000, ms }] });
      };
      const why = { [ANSWERS]: ['no fault was a reason for it'] };
      expect(looked('TIMED_OUT', 500)).toEqual({});
      expect(looked('TIMED_OUT', 499)).toEqual(why);
      expect(looked('DATABASE_UNAVAILABLE', 500)).toEqual(why);
    });

    it('wants a reason of its own instance for every request without an answer', () => {
      expect(answered('unknown', [fault('API instance killed', 0, 9_000, 'api1')])).toEqual({});
      const why = { [UNANSWERED]: ['no fault was a reason for it'] };
      expect(answered('unknown', [fault('API instance killed', 0, 9_000, 'api2')])).toEqual(why);
      expect(answered('unknown', [fault('database killed', 0, 9_000)])).toEqual(why);
    });
  });

  it('sees an instance that ended by itself', () => {
    const ownEnds = [{ instance: 'worker1', how: 'it ended by itself, with exit code 1' }];
    expect(Object.values(broken({ ownEnds }))).toEqual([['it ended by itself, with exit code 1']]);
  });

  it('sees a deadlock that was counted, and one that was only told', () => {
    expect(Object.values(broken({ deadlocks: { counted: 1, told: [] } }))).toEqual([['pg_stat_database counts 1']]);
    const line = 'ERROR:  deadlock detected';
    expect(Object.values(broken({ deadlocks: { counted: 0, told: [line] } }))).toEqual([[line]]);
  });
});

describe('the time that was lost', () => {
  it('is what of the stalls lies within', () => {
    const stalls = [
      { at: 1_000, ms: 100 },
      { at: 2_000, ms: 500 },
    ];
    expect(lostMs(stalls, 0, 3_000)).toBe(600);
    expect(lostMs(stalls, 950, 1_600)).toBe(150);
    expect(lostMs(stalls, 1_000, 1_500)).toBe(0);
  });
});

import { CONFERENCE_STARTS, CONFIRMATION_EXPIRED, MalformedTimerError, parseTimer, toTimerPayload } from './timers.js';

const payload = { conference_id: 7, due_at: '2027-01-15T10:15:30.000Z' };

describe('parseTimer', () => {
  it('reads what toTimerPayload wrote', () => {
    const timer = { pattern: CONFERENCE_STARTS, conferenceId: 2_147_483_647, dueAt: 1_800_000_000_123 } as const;
    expect(toTimerPayload(timer)).toEqual({ conference_id: 2_147_483_647, due_at: '2027-01-15T08:00:00.123Z' });
    expect(parseTimer(CONFERENCE_STARTS, JSON.parse(JSON.stringify(toTimerPayload(timer))))).toEqual(timer);
  });

  it('leaves members alone that it does not know', () => {
    expect(parseTimer(CONFIRMATION_EXPIRED, { ...payload, hops: 3 })).toEqual({
      pattern: CONFIRMATION_EXPIRED,
      conferenceId: 7,
      dueAt: Date.UTC(2027, 0, 15, 10, 15, 30),
    });
  });

  it.each([
    ['no pattern', undefined, payload],
    ['another pattern', 'confirmation.expired ', payload],
    ['no data', CONFIRMATION_EXPIRED, undefined],
    ['null', CONFIRMATION_EXPIRED, null],
    ['a list', CONFIRMATION_EXPIRED, [payload]],
    ['a text', CONFIRMATION_EXPIRED, JSON.stringify(payload)],
    ['no conference', CONFIRMATION_EXPIRED, { due_at: payload.due_at }],
    ['a conference in a text', CONFIRMATION_EXPIRED, { ...payload, conference_id: '7' }],
    ['conference 0', CONFIRMATION_EXPIRED, { ...payload, conference_id: 0 }],
    ['half a conference', CONFIRMATION_EXPIRED, { ...payload, conference_id: 1.5 }],
    ['a conference beyond the column', CONFIRMATION_EXPIRED, { ...payload, conference_id: 2_147_483_648 }],
    ['no instant', CONFIRMATION_EXPIRED, { conference_id: 7 }],
    ['a number as instant', CONFIRMATION_EXPIRED, { ...payload, due_at: 1_800_000_000_000 }],
    ['a local time', CONFIRMATION_EXPIRED, { ...payload, due_at: '2027-01-15T10:15:30.000' }],
    ['a date that does not exist', CONFIRMATION_EXPIRED, { ...payload, due_at: '2027-02-30T10:15:30.000Z' }],
    ['words as instant', CONFIRMATION_EXPIRED, { ...payload, due_at: 'soon' }],
  ])('refuses %s', (_, pattern, data) => {
    expect(() => parseTimer(pattern, data)).toThrow(MalformedTimerError);
  });
});

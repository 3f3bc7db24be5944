import { findStart, parseDate, parseDuration, shiftTo } from './event-times.js';
import type { Schedule, ScheduleEvent } from './schedule-reader.js';

const DAY = { date: '2031-05-03', start: '' };

function eventAt(times: Partial<Pick<ScheduleEvent, 'date' | 'start' | 'day'>>): ScheduleEvent {
  const texts = { guid: 'g1', id: '1', title: 'A', room: '', track: '', type: '', language: '', duration: '01:00' };
  return { ...texts, date: '', start: '', day: DAY, ...times };
}

function scheduleOf(...events: ScheduleEvent[]): Schedule {
  const days = [...new Set(events.map((event) => event.day))];
  return { acronym: 'x1', title: 'X', timeZone: '', dayChange: '', days, events };
}

const utc = (at: number | undefined): string => new Date(at ?? NaN).toISOString();

describe('parseDate', () => {
  it('reads a day that exists', () =>
    expect(utc(parseDate('2028-02-29') ?? undefined)).toBe('2028-02-29T00:00:00.000Z'));

  it.each(['2027-02-30', '2027-02-29', '2027-13-01', '2027-00-10', '27-01-01', '2027-1-1', 'soon', ''])(
    'refuses "%s"',
    (text) => expect(parseDate(text)).toBeNull(),
  );
});

describe('parseDuration', () => {
  it.each([
    ['00:30', 30],
    ['1:30', 90],
    ['12:00', 720],
    ['24:00', 1_440],
    ['100:00', 6_000],
    ['01:30:00', 90],
    ['00:00:30', 0.5],
    ['1:00:00', 1_440],
    ['2:01:30', 2_970],
  ])('reads %s as %d minutes', (text, minutes) => expect(parseDuration(text)).toBe(minutes));

  it.each(['', '30', '1:3', ':30', '00:', '-1:00', 'PT1H', '1:00:00:00', '0x1:00', '1.5:00'])('refuses "%s"', (text) =>
    expect(parseDuration(text)).toBeNull(),
  );
});

describe('findStart', () => {
  const none = { timeZone: '', dayChange: '' };
  const berlin = { timeZone: 'Europe/Berlin', dayChange: '' };
  const night = { date: '2031-05-03', start: '2031-05-03T09:00:00+02:00' };

  it.each([
    [
      'its date with its offset',
      { date: '2031-05-03T10:15:00+02:00', start: '23:59' },
      none,
      '2031-05-03T08:15:00.000Z',
    ],
    ['an offset without a colon', { date: '2031-05-03T10:15:00-0330' }, none, '2031-05-03T13:45:00.000Z'],
    ['Z', { date: '2031-05-03T10:15Z' }, berlin, '2031-05-03T10:15:00.000Z'],
    ['a date without a time', { date: '2031-05-04', start: '10:00' }, none, '2031-05-04T10:00:00.000Z'],
    ['a time without an offset', { date: '2031-05-03T10:15:00' }, berlin, '2031-05-03T08:15:00.000Z'],
    ['no date', { start: '10:15' }, none, '2031-05-03T10:15:00.000Z'],
    ['no date in a time zone', { start: '10:15' }, berlin, '2031-05-03T08:15:00.000Z'],
    ['winter', { start: '9:30', day: { date: '2031-01-03', start: '' } }, berlin, '2031-01-03T08:30:00.000Z'],
    [
      'an hour after clocks change',
      { start: '03:30', day: { date: '2031-03-30', start: '' } },
      berlin,
      '2031-03-30T01:30:00.000Z',
    ],
    ['a zone that is none', { start: '10:15' }, { timeZone: 'Moon/Base', dayChange: '' }, '2031-05-03T10:15:00.000Z'],
    ['the offset of its day', { start: '10:15', day: night }, none, '2031-05-03T08:15:00.000Z'],
    ['after midnight of its day', { start: '00:30', day: night }, none, '2031-05-03T22:30:00.000Z'],
    [
      'before the change of days',
      { start: '00:30' },
      { timeZone: '', dayChange: '09:00:00' },
      '2031-05-04T00:30:00.000Z',
    ],
  ])('takes %s', (_, times, schedule, expected) => expect(utc(findStart(eventAt(times), schedule)?.at)).toBe(expected));

  it.each([
    {},
    { date: '2031-05-03' },
    { date: 'tomorrow', start: '10:00' },
    { date: '2031-02-30T10:00:00Z' },
    { date: '2031-05-03T25:00:00Z' },
    { date: '2031-05-03T10:00:00+0', start: '10:00' },
    { start: '10:61' },
    { start: '10:00', day: { date: '', start: '' } },
  ])('cannot tell from %j', (times) => expect(findStart(eventAt(times), none)).toBeNull());
});

describe('shiftTo', () => {
  const target = Date.parse('2040-01-02T00:00:00Z');

  it('moves the first day, however the days are ordered', () => {
    const events = ['2031-05-04', '2031-05-03'].map((date) => eventAt({ start: '10:00', day: { date, start: '' } }));
    expect(utc(Date.parse('2031-05-03T00:00:00Z') + shiftTo(target, scheduleOf(...events)))).toBe(
      '2040-01-02T00:00:00.000Z',
    );
  });

  it('takes the first local day of the events where the days have no date', () => {
    const day = { date: '', start: '' };
    // Still the 2nd in UTC.
    const event = eventAt({ date: '2031-05-03T01:00:00+02:00', day });
    expect(utc((findStart(event, scheduleOf())?.at ?? NaN) + shiftTo(target, scheduleOf(event)))).toBe(
      '2040-01-01T23:00:00.000Z',
    );
  });
});

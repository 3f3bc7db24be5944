import { parseInstant } from '../../common/instant.js';
import type { Schedule, ScheduleEvent } from './schedule-reader.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** An event's start with the UTC offset it was announced in. Milliseconds since 1970. */
export interface EventStart {
  at: number;
  offsetMs: number;
}

const DATE = /^\d{4}-\d\d-\d\d$/;
const TIME = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/;
const DATE_TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?)? ?(Z|[+-]\d\d:?\d\d)?$/;

/** Milliseconds since 1970 of a day's midnight in UTC, or null for anything but an existing YYYY-MM-DD. */
export function parseDate(text: string): number | null {
  return DATE.test(text) ? parseInstant(`${text} 00:00:00`) : null;
}

/**
 * A length in minutes, or null. `H:MM` and `HH:MM`; of three parts one of two digits in front is `HH:MM:SS`, as the
 * format's schema has it, and one digit in front is `D:HH:MM`, as pretalx writes a day or more.
 */
export function parseDuration(text: string): number | null {
  const [first = '', ...rest] = text.split(':');
  if (![first, ...rest].every((part) => /^\d{1,3}$/.test(part)) || rest.some((part) => part.length !== 2)) return null;
  const [second, third] = rest.map(Number);
  if (second === undefined || rest.length > 2) return null;
  if (third === undefined) return Number(first) * 60 + second;
  return first.length === 1 ? (Number(first) * 24 + second) * 60 + third : Number(first) * 60 + second + third / 60;
}

/**
 * When an event begins: its own `<date>`, where that is missing its day's date and its `<start>`. A time without an offset
 * counts in the schedule's time zone, else in the offset in which the day's start is given, else in UTC.
 * @returns null where it cannot be told
 */
export function findStart(event: ScheduleEvent, schedule: Pick<Schedule, 'timeZone' | 'dayChange'>): EventStart | null {
  const [, date = '', time, offset] = DATE_TIME.exec(event.date) ?? [];
  if (event.date !== '' && date === '') return null;
  const midnight = parseDate(date === '' ? event.day.date : date);
  const timeOfDay = parseTime(time ?? event.start);
  if (midnight === null || timeOfDay === null) return null;
  const isNextDay = date === '' && timeOfDay < dayBegins(event, schedule);
  const local = midnight + timeOfDay + (isNextDay ? DAY_MS : 0);
  const offsetMs =
    parseOffset(offset) ?? findOffset(schedule.timeZone, local) ?? parseOffset(offsetOf(event.day.start)) ?? 0;
  return { at: local - offsetMs, offsetMs };
}

/** Milliseconds to add to every event so that the schedule's first day falls on `startsOn`: whole days. */
export function shiftTo(startsOn: number, schedule: Schedule): number {
  const days = schedule.days.map((day) => parseDate(day.date)).filter((at) => at !== null);
  if (days.length === 0) {
    for (const event of schedule.events) {
      const start = findStart(event, schedule);
      if (start !== null) days.push(Math.floor((start.at + start.offsetMs) / DAY_MS) * DAY_MS);
    }
  }
  return days.length === 0 ? 0 : startsOn - days.reduce((first, at) => Math.min(first, at));
}

/** In frab a night belongs to the day before: its events have that day's date and a start before the day begins. */
function dayBegins(event: ScheduleEvent, { dayChange }: Pick<Schedule, 'dayChange'>): number {
  const [, , time] = DATE_TIME.exec(event.day.start) ?? [];
  return parseTime(time ?? '') ?? parseTime(dayChange) ?? 0;
}

/** Milliseconds since midnight, or null. */
function parseTime(text: string): number | null {
  const [, hours, minutes, seconds = '0'] = TIME.exec(text) ?? [];
  if (hours === undefined || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return null;
  return (Number(hours) * 60 + Number(minutes)) * MINUTE_MS + Number(seconds) * 1_000;
}

function offsetOf(dateTime: string): string | undefined {
  return DATE_TIME.exec(dateTime)?.[3];
}

/** Milliseconds, or null; no place on earth is more than 14 hours from UTC. */
function parseOffset(text: string | undefined): number | null {
  if (text === 'Z') return 0;
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)$/.exec(text ?? '') ?? [];
  if (hours === undefined || Number(minutes) > 59) return null;
  const ms = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS;
  return ms > 14 * 60 * MINUTE_MS ? null : sign === '-' ? -ms : ms;
}

/** The UTC offset in milliseconds that a time zone has at a local time; null where the zone is not known. */
function findOffset(timeZone: string, local: number): number | null {
  if (timeZone === '') return null;
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
    const offsetAt = (at: number): number => {
      const name = format.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? '';
      return parseOffset(name.replace('GMT', '')) ?? 0;
    };
    // The offset at that time in UTC is a first guess, wrong only within hours of a change of the clocks.
    return offsetAt(local - offsetAt(local));
  } catch {
    return null;
  }
}

import { createHash } from 'node:crypto';
import { chooseNames, namesFor, toPlainName } from './conference-names.js';
import { findStart, parseDuration, shiftTo } from './event-times.js';
import type { Schedule, ScheduleEvent } from './schedule-reader.js';

const MAX_MINUTES = 12 * 60;
const MAX_TOPICS = 10;
/** What PostgreSQL and ISO 8601 write alike. */
const LAST_YEAR = 9_999;

export interface PlannedConference {
  /** By which it is known again: the schedule and the event's guid there. */
  sourceKey: string;
  name: string;
  location: string;
  startsAt: Date;
  endsAt: Date;
  /** 1–10 different ones. */
  topics: string[];
}

export interface Skip {
  title: string;
  reason: string;
}

export const ALREADY_IMPORTED = 'already imported';

export interface Plan {
  conferences: PlannedConference[];
  /** In the order of the schedule. */
  skipped: Skip[];
}

/** An event as far as it can be told without the database; `problem` says why it can become no conference. */
export interface Draft {
  title: string;
  sourceKey: string;
  /** Best first. */
  names: string[];
  problem: string | null;
  location: string;
  startsAt: number;
  endsAt: number;
  topics: string[];
}

/** What the database has. */
export interface Known {
  /** Milliseconds since 1970 by the database's clock. */
  now: number;
  sourceKeys: ReadonlySet<string>;
  /** Names of conferences that exist. */
  names: ReadonlySet<string>;
}

/**
 * What a schedule's events would be as conferences, one draft per event, in order.
 * @param startsOn midnight in UTC of the day that becomes the schedule's first, or null to leave the times alone
 */
export function draftConferences(schedule: Schedule, startsOn: number | null): Draft[] {
  const shiftMs = startsOn === null ? 0 : shiftTo(startsOn, schedule);
  const seen = new Set<string>();
  return schedule.events.map((event) => {
    const sourceKey = sourceKeyOf(event, schedule);
    const start = findStart(event, schedule);
    const minutes = parseDuration(event.duration);
    const startsAt = (start?.at ?? NaN) + shiftMs;
    const draft: Draft = {
      title: event.title,
      sourceKey: sourceKey ?? '',
      names: namesFor(event.title, sourceKey ?? ''),
      problem: null,
      location: toPlainName(event.room) ?? 'To be announced',
      startsAt,
      endsAt: startsAt + (minutes ?? NaN) * 60_000,
      topics: topicsOf(event),
    };
    draft.problem =
      sourceKey === null ? UNKNOWABLE : seen.has(sourceKey) ? SAME_GUID : findProblem(event, draft, minutes);
    if (sourceKey !== null) seen.add(sourceKey);
    return draft;
  });
}

const UNKNOWABLE = 'neither it nor its schedule is named well enough to be known again: give it a guid';
const SAME_GUID = 'an event before it has the same guid';

/** Which conferences to create, and why not the others. Pure: the same input gives the same plan. */
export function planImport(drafts: readonly Draft[], known: Known): Plan {
  // Events that are skipped today count, too: whether two clash must not depend on the day of the import.
  const wishes = new Map(drafts.filter(isDistinct).map((draft) => [draft.sourceKey, draft.names]));
  const names = chooseNames(wishes, known.names);
  const plan: Plan = { conferences: [], skipped: [] };
  for (const draft of drafts) {
    const { title, sourceKey, location, startsAt, endsAt, topics } = draft;
    const name = names.get(sourceKey) ?? null;
    const reason = findReason(draft, name, known);
    if (reason === null && name !== null) {
      const times = { startsAt: new Date(startsAt), endsAt: new Date(endsAt) };
      plan.conferences.push({ sourceKey, name, location, ...times, topics });
    } else {
      plan.skipped.push({ title, reason: reason ?? 'its name is taken' });
    }
  }
  return plan;
}

function isDistinct({ problem }: Draft): boolean {
  return problem !== UNKNOWABLE && problem !== SAME_GUID;
}

function findReason(draft: Draft, name: string | null, { now, sourceKeys }: Known): string | null {
  if (isDistinct(draft) && sourceKeys.has(draft.sourceKey)) return ALREADY_IMPORTED;
  if (draft.problem !== null) return draft.problem;
  if (draft.startsAt <= now) return `it is in the past: ${new Date(draft.startsAt).toISOString()}`;
  return name === null ? 'other conferences have its name, and every other that it could have' : null;
}

function findProblem(event: ScheduleEvent, draft: Draft, minutes: number | null): string | null {
  if (draft.names.length === 0) return 'it has no name';
  if (Number.isNaN(draft.startsAt)) {
    const text = event.date === '' ? event.start : event.date;
    return text === '' ? 'it has no start' : `its start cannot be read: ${quote(text)}`;
  }
  if (minutes === null) {
    return event.duration === '' ? 'it has no duration' : `its duration cannot be read: ${quote(event.duration)}`;
  }
  if (minutes === 0) return 'it has a duration of 0';
  if (minutes > MAX_MINUTES) return `it is longer than 12 hours: ${quote(event.duration)}`;
  return new Date(draft.endsAt).getUTCFullYear() > LAST_YEAR ? `it is after the year ${LAST_YEAR}` : null;
}

function quote(text: string): string {
  return `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`;
}

/** Null where another schedule could have the same: a number counts only within a schedule that has a name. */
function sourceKeyOf(event: ScheduleEvent, { acronym, title }: Schedule): string | null {
  const schedule = acronym || title;
  if (event.guid !== '') return `${bounded(schedule)}#${bounded(event.guid)}`;
  if (schedule === '') return null;
  if (event.id !== '') return `${bounded(schedule)}#id:${bounded(event.id)}`;
  // Where and when it is shown as, before any shift.
  const trait = [event.title, event.room, event.day.date, event.date, event.start].join('\n');
  return event.title === '' ? null : `${bounded(schedule)}#hash:${hash(trait)}`;
}

/** A unique index refuses entries of more than 2,704 bytes. */
function bounded(text: string): string {
  return text.length <= 200 ? text : hash(text);
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function topicsOf({ track, type, language }: ScheduleEvent): string[] {
  const topics = [track, type, language].map(toPlainName).filter((topic) => topic !== null);
  return topics.length === 0 ? ['general'] : [...new Set(topics)].slice(0, MAX_TOPICS);
}

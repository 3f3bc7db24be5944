import { join } from 'node:path';
import { parseDate } from './event-times.js';
import { ALREADY_IMPORTED, draftConferences, planImport, type Known, type Plan } from './plan.js';
import { readSchedule, type Schedule, type ScheduleEvent } from './schedule-reader.js';

const NOW = Date.parse('2030-01-01T00:00:00Z');

function eventOf(fields: Partial<ScheduleEvent> = {}): ScheduleEvent {
  const day = { date: '2031-05-03', start: '' };
  const texts = {
    guid: 'g1',
    id: '1',
    title: 'A talk',
    room: 'Hall 1',
    track: 'Making',
    type: 'lecture',
    language: 'en',
  };
  return { ...texts, date: '2031-05-03T10:00:00+02:00', start: '10:00', duration: '01:00', day, ...fields };
}

function scheduleOf(events: ScheduleEvent[], fields: Partial<Schedule> = {}): Schedule {
  return { acronym: 'x1', title: 'X', timeZone: '', dayChange: '', days: [], events, ...fields };
}

function plan(schedule: Schedule, known: Partial<Known> = {}, startsOn: string | null = null): Plan {
  const day = startsOn === null ? null : parseDate(startsOn);
  return planImport(draftConferences(schedule, day), { now: NOW, sourceKeys: new Set(), names: new Set(), ...known });
}

describe('planImport', () => {
  it('makes an event a conference', () => {
    expect(plan(scheduleOf([eventOf()]))).toEqual({
      skipped: [],
      conferences: [
        {
          sourceKey: 'x1#g1',
          name: 'A talk',
          location: 'Hall 1',
          startsAt: new Date('2031-05-03T08:00:00Z'),
          endsAt: new Date('2031-05-03T09:00:00Z'),
          topics: ['Making', 'lecture', 'en'],
        },
      ],
    });
  });

  it('has a location and a topic where the event has none, and each topic once', () => {
    const bare = eventOf({ room: '', track: '', type: '—', language: '' });
    expect(plan(scheduleOf([bare])).conferences[0]).toMatchObject({ location: 'To be announced', topics: ['general'] });
    const same = eventOf({ track: 'Art & Film', type: 'Art and Film', language: 'de' });
    expect(plan(scheduleOf([same])).conferences[0]?.topics).toEqual(['Art and Film', 'de']);
  });

  it.each([
    ['', 'it has no name'],
    ['🎉', 'it has no name'],
  ])('skips the title "%s"', (title, reason) => {
    expect(plan(scheduleOf([eventOf({ title })]))).toEqual({ conferences: [], skipped: [{ title, reason }] });
  });

  it.each([
    [{ date: '', start: '' }, 'it has no start'],
    [{ date: 'soon' }, 'its start cannot be read: "soon"'],
    [{ date: '', start: '25:00' }, 'its start cannot be read: "25:00"'],
    [{ duration: '' }, 'it has no duration'],
    [{ duration: 'long' }, 'its duration cannot be read: "long"'],
    [{ duration: '00:00' }, 'it has a duration of 0'],
    [{ duration: '12:01' }, 'it is longer than 12 hours: "12:01"'],
    [{ duration: '1:00:00' }, 'it is longer than 12 hours: "1:00:00"'],
    [{ date: '2029-12-31T23:00:00Z' }, 'it is in the past: 2029-12-31T23:00:00.000Z'],
    [{ date: '2030-01-01T00:00:00Z' }, 'it is in the past: 2030-01-01T00:00:00.000Z'],
    [{ date: '9999-12-31T23:30:00Z' }, 'it is after the year 9999'],
  ])('skips %j', (fields, reason) => {
    expect(plan(scheduleOf([eventOf(fields)])).skipped).toEqual([{ title: 'A talk', reason }]);
  });

  it('takes an event of exactly 12 hours', () => {
    expect(plan(scheduleOf([eventOf({ duration: '12:00' })])).skipped).toEqual([]);
  });

  it('skips what was imported, whatever has become of it', () => {
    const sourceKeys = new Set(['x1#g1']);
    for (const event of [eventOf(), eventOf({ date: '2014-01-01T10:00:00Z' }), eventOf({ title: '' })]) {
      expect(plan(scheduleOf([event]), { sourceKeys }).skipped[0]?.reason).toBe(ALREADY_IMPORTED);
    }
  });

  it('skips a second event with the same guid, and takes the first', () => {
    const { conferences, skipped } = plan(scheduleOf([eventOf(), eventOf({ title: 'B' })]));
    expect(conferences.map((conference) => conference.name)).toEqual(['A talk']);
    expect(skipped).toEqual([{ title: 'B', reason: 'an event before it has the same guid' }]);
  });

  it('knows an event by acronym, else title, and by guid, else id, else what it is', () => {
    const keyOf = (event: ScheduleEvent, fields: Partial<Schedule> = {}): string | undefined =>
      plan(scheduleOf([event], fields), {}, '2031-06-01').conferences[0]?.sourceKey;
    expect(keyOf(eventOf(), { acronym: '' })).toBe('X#g1');
    expect(keyOf(eventOf({ guid: '' }))).toBe('x1#id:1');
    expect(keyOf(eventOf({ guid: '', id: '' }))).toMatch(/^x1#hash:[0-9a-f]{64}$/);
    expect(keyOf(eventOf(), { acronym: '', title: '' })).toBe('#g1');
    expect(keyOf(eventOf({ guid: '' }), { acronym: '', title: '' })).toBeUndefined();
    expect(keyOf(eventOf({ guid: 'ü'.repeat(1_000) }), { acronym: 'ü'.repeat(1_000) })?.length).toBe(129);
  });

  it('gives equal titles a suffix, skipped ones included, whatever their order', () => {
    const events = [eventOf(), eventOf({ guid: 'g2' }), eventOf({ guid: 'g3', duration: '' })];
    const namesOf = (order: ScheduleEvent[]): Record<string, string> =>
      Object.fromEntries(plan(scheduleOf(order)).conferences.map(({ sourceKey, name }) => [sourceKey, name]));
    const names = namesOf(events);
    expect(Object.keys(names)).toEqual(['x1#g1', 'x1#g2']);
    for (const name of Object.values(names)) expect(name).toMatch(/^A talk [0-9a-f]{6}$/);
    expect(namesOf(events.slice().reverse())).toEqual(names);
    // What was imported before changes nothing for the rest.
    const later = plan(scheduleOf(events), { sourceKeys: new Set(['x1#g1']), names: new Set([names['x1#g1'] ?? '']) });
    expect(later.conferences.map(({ name }) => name)).toEqual([names['x1#g2']]);
  });

  it('gives a name that something else has a suffix', () => {
    const [conference] = plan(scheduleOf([eventOf()]), { names: new Set(['A talk']) }).conferences;
    expect(conference?.name).toMatch(/^A talk [0-9a-f]{6}$/);
  });

  it('skips an event whose every name is taken', () => {
    const { names = [] } = draftConferences(scheduleOf([eventOf()]), null)[0] ?? {};
    expect(plan(scheduleOf([eventOf()]), { names: new Set(names) }).skipped[0]?.reason).toMatch(
      /^other conferences have/,
    );
  });
});

describe('the example', () => {
  const read = (): Promise<Schedule> => readSchedule(join(process.cwd(), 'examples', 'schedule.xml'));

  it('becomes eight conferences', async () => {
    const { conferences, skipped } = plan(await read());
    expect(skipped).toEqual([]);
    expect(conferences.map(({ name, startsAt }) => `${startsAt.toISOString().slice(0, 16)} ${name}`)).toEqual([
      '2031-05-03T07:30 Opening',
      '2031-05-03T08:15 Queues and Patience a fair line for everybody',
      expect.stringMatching(/^2031-05-03T10:00 Lightning Talks [0-9a-f]{6}$/),
      '2031-05-03T08:15 Loeten fuer alle ein Laempchen zum Mitnehmen',
      '2031-05-03T22:30 Night of the Short Films',
      '2031-05-04T08:00 What a Transaction Promises',
      expect.stringMatching(/^2031-05-04T09:00 Lightning Talks [0-9a-f]{6}$/),
      '2031-05-04T09:00 Broken on Purpose tests that can fail',
    ]);
  });

  it('keeps its times of day, each in its own offset, when it is moved into winter', async () => {
    const moved = plan(await read(), {}, '2032-01-10').conferences;
    expect(moved.map(({ startsAt }) => startsAt.toISOString().slice(0, 16))).toEqual([
      '2032-01-10T07:30',
      '2032-01-10T08:15',
      '2032-01-10T10:00',
      '2032-01-10T08:15',
      '2032-01-10T22:30',
      '2032-01-11T08:00',
      '2032-01-11T09:00',
      '2032-01-11T09:00',
    ]);
  });
});

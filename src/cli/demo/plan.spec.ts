import { type Conference } from '../api-client.js';
import { crowdFor, doOverlap, planRush } from './plan.js';

const HOUR_MS = 3_600_000;
const FROM_MS = Date.parse('2027-03-01T09:00:00Z');

/** Days of 8 hours in 4 halls, one talk an hour. */
function schedule(days: number, slots: number, change: Partial<Conference> = {}): Conference[] {
  return Array.from({ length: days * 32 }, (_, index) => {
    const startMs = FROM_MS + Math.floor(index / 32) * 24 * HOUR_MS + (index % 8) * HOUR_MS;
    return {
      name: `Talk ${index}`,
      location: 'Hall 5',
      start: new Date(startMs).toISOString(),
      end: new Date(startMs + HOUR_MS).toISOString(),
      topics: [`topic ${index % 5}`],
      total_slots: slots,
      available_slots: slots,
      held_slots: 0,
      waitlisted: 0,
      ...change,
    };
  });
}

function times(conference: Conference): { startMs: number; endMs: number } {
  return { startMs: Date.parse(conference.start), endMs: Date.parse(conference.end) };
}

describe('planRush', () => {
  it('plans the same for the same seed, and another rush for another', () => {
    const conferences = schedule(2, 100);
    expect(planRush(conferences, 50, 7)).toEqual(planRush(conferences, 50, 7));
    expect(planRush(conferences, 50, 7)).not.toEqual(planRush(conferences, 50, 8));
  });

  it.each([
    [1, 500],
    [5, 500],
    [100, 500],
    [100, 101],
    [450, 500],
    [4999, 5000],
  ])('crowds more on a popular conference of %i slots than it has, with %i attendees', (slots, attendees) => {
    const { attendees: plans, popular } = planRush(schedule(1, slots), attendees, 1);
    expect(popular.length).toBe(6);
    for (const name of popular) {
      const demand = plans.filter(({ wishes }) => wishes.includes(name)).length;
      expect(demand).toBe(crowdFor(slots, attendees));
      expect(demand).toBeGreaterThan(slots);
    }
  });

  it('has no popular conference where everybody finds a slot', () => {
    expect(planRush(schedule(1, 500), 500, 1).popular).toEqual([]);
  });

  it('prefers conferences without a line, and takes others where there are no such', () => {
    const [fresh] = schedule(1, 5, { name: 'Fresh' });
    const old = schedule(1, 5, { available_slots: 0, waitlisted: 3 }).slice(1, 3);
    if (fresh === undefined) throw new Error('The schedule is empty.');
    expect(planRush([...old, fresh], 50, 3).popular[0]).toBe('Fresh');
    expect(planRush(old, 50, 3).popular.length).toBe(2);
  });

  it('gives every attendee topics, and wishes that do not overlap and fit them', () => {
    const conferences = schedule(3, 100);
    const byName = new Map(conferences.map((conference) => [conference.name, conference]));
    for (const { topics, wishes } of planRush(conferences, 200, 11).attendees) {
      expect(topics.length).toBeGreaterThan(0);
      const wished = wishes.flatMap((name) => byName.get(name) ?? []);
      expect(wished.length).toBe(wishes.length);
      expect(wished.every((one) => one.topics.some((topic) => topics.includes(topic)))).toBe(true);
      const pairs = wished.flatMap((one, index) => wished.slice(index + 1).map((other) => [one, other] as const));
      expect(pairs.filter(([one, other]) => doOverlap(times(one), times(other)))).toEqual([]);
    }
  });

  it('has some try what must be refused', () => {
    const conferences = schedule(2, 100);
    const byName = new Map(conferences.map((conference) => [conference.name, times(conference)]));
    const { attendees } = planRush(conferences, 300, 2);
    const tries = attendees.flatMap(({ stubborn, wishes }) => (stubborn === null ? [] : [{ ...stubborn, wishes }]));
    expect(tries.length).toBeGreaterThan(20);
    for (const { name, because, wishes } of tries) {
      expect(wishes).toContain(because);
      const [wanted, booked] = [byName.get(name), byName.get(because)];
      expect(wanted !== undefined && booked !== undefined && doOverlap(wanted, booked)).toBe(true);
    }
  });

  it('plans for a single conference and a single attendee', () => {
    const [only] = schedule(1, 1);
    if (only === undefined) throw new Error('The schedule is empty.');
    const { attendees, popular } = planRush([only], 1, 1);
    expect(popular).toEqual([]);
    expect(attendees.map(({ wishes }) => wishes)).toEqual([[only.name]]);
  });
});

describe('doOverlap', () => {
  it('allows back to back', () => {
    expect(doOverlap({ startMs: 0, endMs: 10 }, { startMs: 10, endMs: 20 })).toBe(false);
    expect(doOverlap({ startMs: 0, endMs: 10 }, { startMs: 9, endMs: 20 })).toBe(true);
    expect(doOverlap({ startMs: 0, endMs: 10 }, { startMs: 2, endMs: 3 })).toBe(true);
  });
});

import { atMost } from '../at-most.js';
import { type Scene } from './attendee.js';
import { pause } from './pause.js';
import { ask } from './requests.js';
import { brokenInBookings, brokenInCounts, countStatuses, type StatusCounts } from './rules.js';

const LOOK_EVERY_MS = 250;
const LOOKS_AT_ONCE = 8;

/** How a conference stood at the end of the run, everybody's bookings counted. */
export interface Standing {
  name: string;
  slots: number;
  counts: StatusCounts;
}

/** Looks at one of the conferences after the other, round and round, until the run is over. */
export async function inspectRound(scene: Scene, names: readonly string[]): Promise<void> {
  for (let turn = 0; !scene.over.aborted && names.length > 0; turn += 1) {
    await inspect(scene, names[turn % names.length] ?? '');
    await pause(LOOK_EVERY_MS, scene.over);
  }
}

/** Looks at each of the conferences once; those that gave no answer are left out. */
export async function inspectAll(scene: Scene, names: readonly string[]): Promise<Standing[]> {
  const standings = await atMost(LOOKS_AT_ONCE, names, (name) => inspect(scene, name));
  return standings.filter((standing) => standing !== null);
}

async function inspect(scene: Scene, name: string): Promise<Standing | null> {
  const { api, statistics, broken } = scene;
  const before = await ask(statistics, 'look up', () => api.conference(name));
  const bookings = await ask(statistics, 'look up', () => api.conferenceBookings(name));
  const after = await ask(statistics, 'look up', () => api.conference(name));
  if (before === null || bookings === null || after === null) return null;
  for (const sentence of [...brokenInCounts(before), ...brokenInCounts(after)]) broken.add(sentence);
  // Slots may be added while one looks, and from the start on nobody is promoted.
  const isComparable = before.total_slots === after.total_slots && Date.parse(after.start) > Date.now();
  if (isComparable) brokenInBookings(after, bookings).forEach((sentence) => broken.add(sentence));
  return { name, slots: after.total_slots, counts: countStatuses(bookings) };
}

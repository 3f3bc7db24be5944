import { setMaxListeners } from 'node:events';
import { type ApiClient } from '../api-client.js';
import { atMost } from '../at-most.js';
import { Attendee, type Scene } from './attendee.js';
import { inspectAll, inspectRound, type Standing } from './inspector.js';
import { pause } from './pause.js';
import { type RushPlan } from './plan.js';
import { type Progress } from './progress.js';
import { RequestStatistics } from './statistics.js';
import { Tallies, type Tally } from './tallies.js';

/** What a run brought to light. */
export interface RushResult {
  statistics: RequestStatistics;
  tallies: ReadonlyMap<string, Tally>;
  total: Tally;
  standings: Standing[];
  /** Sentences about rules that were seen broken. */
  broken: string[];
  /** How long all the booking took, in milliseconds. */
  bookingMs: number;
}

/** So many attendees act at the same time while they register and book. */
const AT_ONCE = 200;
/** Of those with a slot in a popular conference this part gives it back, and at least one. */
const CANCELING_SHARE = 0.25;
const OFFERS_WATCHED_FOR_WINDOWS = 3;
const LONGEST_WATCH_MS = 40_000;
/** After so long without a change no offer is expected any more, when none is open. */
const QUIET_MS = 2500;
/** The whole run ends by then, whatever is still open. */
const LONGEST_RUN_MS = 85_000;
const TICK_MS = 200;

/**
 * Plays the plan: all register, all book, the fickle cancel, and those in line take or miss what they are offered.
 * It ends by itself: after a few confirmation windows, or when nothing more happens. Throws ServiceUnreachable.
 */
export async function playRush(api: ApiClient, plan: RushPlan, progress: Progress): Promise<RushResult> {
  const startedAt = performance.now();
  const over = new AbortController();
  // Every attendee waits for it.
  setMaxListeners(0, over.signal);
  const scene = {
    api,
    statistics: new RequestStatistics(),
    tallies: new Tallies(),
    broken: new Set<string>(),
    over: over.signal,
  };
  const runId = `d${Date.now().toString(36)}`;
  const attendees = plan.attendees.map((one, index) => new Attendee(`${runId}a${index + 1}`, one, scene));
  const inspecting = inspectRound(scene, plan.popular);
  // It is awaited at the end; a service that goes away meanwhile is told by the attendees too.
  inspecting.catch(() => undefined);
  let bookingMs: number;
  try {
    await actTogether('registering', attendees, progress, (attendee) => attendee.register());
    const bookingFrom = performance.now();
    await actTogether('booking', attendees, progress, (attendee) => attendee.bookWishes());
    bookingMs = performance.now() - bookingFrom;
    chooseFickle(attendees, plan.popular);
    await liveOn(scene, attendees, progress, over, startedAt + LONGEST_RUN_MS);
  } finally {
    over.abort();
    progress.stop();
  }
  await inspecting;
  // What was missed shows only in a last look.
  await atMost(
    AT_ONCE,
    attendees.filter((attendee) => attendee.hasOpenOffer()),
    (attendee) => attendee.look(),
  );
  const standings = await inspectAll(scene, [...scene.tallies.byConference.keys()]);
  return {
    statistics: scene.statistics,
    tallies: scene.tallies.byConference,
    total: scene.tallies.total(),
    standings,
    broken: [...scene.broken],
    bookingMs,
  };
}

async function actTogether(
  stage: string,
  attendees: readonly Attendee[],
  progress: Progress,
  act: (attendee: Attendee) => Promise<void>,
): Promise<void> {
  progress.start(stage, attendees.length);
  await atMost(AT_ONCE, attendees, async (attendee) => {
    await act(attendee);
    progress.advance();
  });
  progress.finish();
}

/** The most fickle of those with a slot in a popular conference will cancel. */
function chooseFickle(attendees: readonly Attendee[], popular: readonly string[]): void {
  for (const conference of popular) {
    const holders = attendees.filter((attendee) => attendee.isConfirmedAt(conference));
    const mostFickleFirst = holders.toSorted((a, b) => b.plan.fickleness - a.plan.fickleness);
    const canceling = mostFickleFirst.slice(0, Math.ceil(holders.length * CANCELING_SHARE));
    canceling.forEach((attendee) => attendee.willCancel(conference));
  }
}

async function liveOn(
  scene: Scene,
  attendees: readonly Attendee[],
  progress: Progress,
  over: AbortController,
  latestEnd: number,
): Promise<void> {
  const living = Promise.all(attendees.map((attendee) => attendee.liveOn()));
  const watching = watchOffers(scene, attendees, progress, latestEnd);
  try {
    // The attendees may be done before the watch is, and a failure of theirs ends it.
    await Promise.race([watching, living]);
  } finally {
    over.abort();
  }
  await living;
  await watching;
  progress.finish(noteOf(scene.tallies));
}

/** Resolves when the offers have been watched for long enough, or nothing more is to be expected. */
async function watchOffers(
  { tallies, over }: Scene,
  attendees: readonly Attendee[],
  progress: Progress,
  latestEnd: number,
): Promise<void> {
  let canceledAt: number | null = null;
  const from = performance.now();
  progress.start('offers', 100);
  while (!over.aborted && performance.now() < latestEnd) {
    const now = performance.now();
    if (attendees.every((attendee) => !attendee.hasCancelsToDo())) canceledAt ??= now;
    const watchMs = Math.min(LONGEST_WATCH_MS, OFFERS_WATCHED_FOR_WINDOWS * tallies.windowMs + QUIET_MS);
    const end = Math.min(latestEnd, (canceledAt ?? now) + watchMs);
    const isQuiet = canceledAt !== null && now - Math.max(canceledAt, tallies.lastOfferAt) > QUIET_MS;
    if (now >= end || (isQuiet && !attendees.some((attendee) => attendee.hasOpenOffer()))) return;
    progress.show((100 * (now - from)) / (end - from), noteOf(tallies));
    await pause(TICK_MS, over);
  }
}

function noteOf(tallies: Tallies): string {
  const { offers, taken, declined, missed } = tallies.total();
  return `${offers} seen, ${taken} taken, ${declined} declined, ${missed} missed`;
}

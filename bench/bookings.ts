import type { Side, Turn } from './bench.js';
import { addConferences, addUsers, settle } from './halls.js';
import type { Job, LoadResult, PlannedRequest } from './load/job.js';
import type { LoadGenerator } from './load/load-generator.js';

/** More than any server here answers in a second: so many people are there to book for. */
export const MOST_PER_SECOND = 12_000;
/** Of the one conference that everybody wants. The others of them join the line. */
const HOT_SLOTS = 500;
const COLD_SLOTS = 50;
const SHOWN_AT_ONCE = 64;
const SHOWN_WITHIN_S = 120;

/** A run in which every request books for another user, so that nobody is refused; conferences are taken in turn. */
export async function book(
  load: LoadGenerator,
  side: Side,
  { tag, seconds }: Turn,
  { connections, conferences }: { connections: number; conferences: number },
): Promise<LoadResult> {
  await addConferences(side.query, `Hall ${tag}`, conferences, conferences === 1 ? HOT_SLOTS : COLD_SLOTS);
  return bookAt(load, side, { tag, seconds }, { connections, conferences, prefix: `Hall ${tag}` });
}

/** The same on conferences that are there: `<prefix> 1` to `<prefix> N`. */
export async function bookAt(
  load: LoadGenerator,
  side: Side,
  { tag, seconds }: Turn,
  { connections, conferences, prefix }: { connections: number; conferences: number; prefix: string },
): Promise<LoadResult> {
  const count = seconds * MOST_PER_SECOND;
  await addUsers(side.query, `${tag}u`, count);
  await settle(side.query);
  const requests = Array.from({ length: count }, (_, index) =>
    booking(`${tag}u${index + 1}`, `${prefix} ${(index % conferences) + 1}`),
  );
  return runSigned(load, side, { connections, seconds, requests });
}

/** Runs a job with the token of the user whom each request names, or else of an organizer, where tokens are asked for. */
async function runSigned(load: LoadGenerator, side: Side, job: Omit<Job, 'ports'>): Promise<LoadResult> {
  const { sign, ports } = side;
  if (sign === undefined) return load.run({ ...job, ports });
  const organizer = await sign('organizer', 'organizer');
  const requests = await Promise.all(
    job.requests.map(async (request) => {
      const user = (request.body as { user_id?: string } | undefined)?.user_id;
      return { ...request, token: user === undefined ? organizer : await sign(user) };
    }),
  );
  if (side.areTokensNew !== true) await show(load, ports, new Set(requests.map(({ token }) => token)));
  return load.run({ ...job, ports, requests });
}

/** Has the service see tokens, as those of people who look around before the doors open. */
async function show(load: LoadGenerator, ports: readonly number[], tokens: Iterable<string>): Promise<void> {
  // What is needed first is shown last: should the service not remember them all, it forgets what it has not seen for longest.
  const requests = [...tokens]
    .reverse()
    .map((token): PlannedRequest => ({ method: 'GET', path: '/health/live', token }));
  await load.run({ ports, connections: SHOWN_AT_ONCE, seconds: SHOWN_WITHIN_S, requests });
}

export function booking(userId: string, conference: string): PlannedRequest {
  return { method: 'POST', path: '/book', body: { user_id: userId, name: conference } };
}

/** A run in which every request registers another user. */
export async function register(
  load: LoadGenerator,
  side: Side,
  { tag, seconds }: Turn,
  connections: number,
): Promise<LoadResult> {
  const requests = Array.from({ length: seconds * MOST_PER_SECOND }, (_, index): PlannedRequest => {
    return { method: 'POST', path: '/user', body: { user_id: `${tag}u${index + 1}`, topics: ['databases'] } };
  });
  return runSigned(load, side, { connections, seconds, requests });
}

/** A run that looks up the bookings 1 to `bookings`, each as often as the others, in no order that a cache would like. */
export async function lookUp(
  load: LoadGenerator,
  side: Side,
  { seconds }: Pick<Turn, 'seconds'>,
  { connections, bookings }: { connections: number; bookings: number },
): Promise<LoadResult> {
  // A prime that does not divide the number of bookings: every one of them comes once before any comes again.
  const stride = 7_919;
  const requests = Array.from({ length: bookings }, (_, index): PlannedRequest => {
    return { method: 'GET', path: `/booking/${((index * stride) % bookings) + 1}` };
  });
  return runSigned(load, side, { connections, seconds, requests, isRepeated: true });
}

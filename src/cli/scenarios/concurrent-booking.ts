import { expectEqual, expectRefusal } from './expect.js';
import { countStatus, expectConfirmed, expectWaitlisted, type OwnConference, type World } from './world.js';

const SLOTS = 20;
const PEOPLE = 200;
const CANCELED_HOLDERS = 15;
const CANCELED_WAITERS = 15;
const NEWCOMERS = 30;
const RACERS = 10;

/** Two hundred at once on twenty slots, then cancels racing with more of them. Throws ExpectationFailed. */
export async function concurrentBooking(world: World): Promise<void> {
  const conference = await world.conference({ slots: SLOTS });
  const people = await world.severalUsers(PEOPLE + NEWCOMERS);
  await bookAtOnce(world, conference, people.slice(0, PEOPLE));
  await cancelWhileBooking(world, conference, people.slice(PEOPLE));
  await raceWithOneself(world, people.slice(0, RACERS));
}

async function bookAtOnce(world: World, conference: OwnConference, people: string[]): Promise<void> {
  const watch = watchRules(world, conference);
  const answers = await Promise.all(people.map((user) => world.book(user, conference)));
  await watch.stop();

  const isConfirmed = (body: unknown): boolean =>
    typeof body === 'object' && body !== null && 'status' in body && body.status === 'CONFIRMED';
  const confirmed = answers.filter(({ body }) => isConfirmed(body)).map(expectConfirmed);
  const waiting = answers.filter(({ body }) => !isConfirmed(body));
  waiting.forEach((answer) => expectWaitlisted(answer));
  expectEqual('confirmed of all at once', confirmed.length, SLOTS);
  const positions = waiting.map(({ body }) => (body as { waitlist_position: number }).waitlist_position);
  expectEqual(
    'positions answered',
    positions.sort((a, b) => a - b),
    ranks(PEOPLE - SLOTS),
  );

  const rows = await world.bookings(conference);
  expectEqual('bookings of the conference', rows.length, PEOPLE);
  expectEqual(
    'positions in the order of arrival',
    rows.flatMap(({ waitlist_position: position }) => position ?? []),
    ranks(PEOPLE - SLOTS),
  );
  await world.expectCounts(conference, { available: 0, held: 0, waitlisted: PEOPLE - SLOTS });
}

async function cancelWhileBooking(world: World, conference: OwnConference, newcomers: string[]): Promise<void> {
  const before = await world.bookings(conference);
  const holders = before.filter(({ status }) => status === 'CONFIRMED').slice(0, CANCELED_HOLDERS);
  const waiters = before.filter(({ status }) => status === 'WAITLISTED').slice(5, 5 + CANCELED_WAITERS);
  const watch = watchRules(world, conference);
  await Promise.all([
    ...[...holders, ...waiters].map(({ booking_id: id, user_id: user }) => world.cancelActive(id, user)),
    ...newcomers.map(async (user) => expectWaitlisted(await world.book(user, conference))),
  ]);
  await watch.stop();

  const after = await world.bookings(conference);
  const canceled = CANCELED_HOLDERS + CANCELED_WAITERS;
  expectEqual('bookings of the conference', after.length, PEOPLE + NEWCOMERS);
  expectEqual('canceled', countStatus(after, 'CANCELED'), canceled);
  expectEqual('confirmed', countStatus(after, 'CONFIRMED'), SLOTS - CANCELED_HOLDERS);
  expectEqual('offers', countStatus(after, 'ConfirmationPending'), CANCELED_HOLDERS);
  await world.expectCounts(conference, {
    available: 0,
    held: CANCELED_HOLDERS,
    waitlisted: PEOPLE + NEWCOMERS - canceled - SLOTS,
  });
}

/** One person books the same conference twice at once, and two that overlap: one of the two is refused. */
async function raceWithOneself(world: World, people: string[]): Promise<void> {
  const wide = await world.conference({ slots: 1000 });
  const overlapping = await world.conference({ slots: 1000, startMs: wide.startMs + 1800_000 });
  const apart = await world.conference({ slots: 1000 });
  for (const [first, second] of [
    [wide, overlapping],
    [apart, apart],
  ] as const) {
    await Promise.all(
      people.map(async (user) => {
        const answers = await Promise.all([world.book(user, first), world.book(user, second)]);
        const [won, ...others] = answers.filter(({ status }) => status === 201);
        expectEqual(
          'bookings won of two at once that exclude each other',
          won !== undefined && others.length === 0,
          true,
        );
        answers.filter(({ status }) => status !== 201).forEach((answer) => expectRefusal(answer, 400));
      }),
    );
  }
}

/** Looks at the conference again and again until it is stopped; `stop` throws ExpectationFailed for what was broken. */
function watchRules(world: World, conference: OwnConference): { stop: () => Promise<void> } {
  let isStopped = false;
  const look = async (): Promise<void> => {
    while (!isStopped) {
      await world.bookings(conference);
      await world.conferenceNow(conference);
    }
  };
  const looking = look();
  // What it finds is thrown by stop; until then nobody waits for it.
  looking.catch(() => undefined);
  return {
    stop: async () => {
      isStopped = true;
      await looking;
    },
  };
}

function ranks(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

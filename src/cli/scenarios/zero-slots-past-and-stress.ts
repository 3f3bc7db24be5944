import { type Answer } from '../api-client.js';
import { atMost } from '../at-most.js';
import { expectAnswer, expectEach, expectEqual, expectRefusal, fail } from './expect.js';
import { countStatus, expectConfirmed, expectWaitlisted, type OwnConference, type World } from './world.js';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const PEOPLE = 200;
const CONFERENCES = 5;
const SLOTS = 50;
/** Of the thousand bookings every tenth is asked for twice. */
const TWICE_EVERY = 10;
const CONNECTIONS = 64;

/** Conferences that cannot be, and a thousand bookings of which none is lost or made twice. Throws ExpectationFailed. */
export async function zeroSlotsPastAndStress(world: World): Promise<void> {
  await impossibleSlots(world);
  await impossibleTimes(world);
  await stress(world);
}

async function impossibleSlots(world: World): Promise<void> {
  const refused = [0, -1, 1.5, '5', 1_000_001, 1e21, null, true, [5], undefined];
  await expectEach(
    refused.map((slots) => [`slots ${slots === undefined ? 'missing' : JSON.stringify(slots)}`, slots] as const),
    async (slots) => {
      expectRefusal(await add(world, Date.now() + 24 * HOUR_MS, HOUR_MS, { slots }), 400, { names: 'slots' });
    },
  );
}

async function impossibleTimes(world: World): Promise<void> {
  const tomorrow = Date.now() + 24 * HOUR_MS;
  const yesterday = Date.now() - 24 * HOUR_MS;
  expectRefusal(await add(world, yesterday, HOUR_MS), 400, { names: 'start' });
  expectRefusal(await add(world, Date.now() - SECOND_MS, HOUR_MS), 400, { names: 'start' });
  expectRefusal(await add(world, tomorrow, 0), 400, { names: 'end' });
  expectRefusal(await add(world, tomorrow, -HOUR_MS), 400, { names: 'end' });
  expectRefusal(await add(world, tomorrow, 12 * HOUR_MS + SECOND_MS), 400, { names: 'end' });
  expectAnswer(await add(world, tomorrow, 12 * HOUR_MS), 201, { message: 'conference added successfully' });
  expectAnswer(await add(world, tomorrow, SECOND_MS), 201, { message: 'conference added successfully' });
}

function add(world: World, startMs: number, lengthMs: number, change: object = {}): Promise<Answer> {
  return world.api.send('POST', '/conference', {
    name: world.newName(),
    location: 'Hall 5',
    start: new Date(startMs).toISOString(),
    end: new Date(startMs + lengthMs).toISOString(),
    slots: 1,
    topics: ['databases'],
    ...change,
  });
}

async function stress(world: World): Promise<void> {
  const people = await world.severalUsers(PEOPLE);
  const conferences: OwnConference[] = [];
  for (let count = 0; count < CONFERENCES; count += 1) conferences.push(await world.conference({ slots: SLOTS }));
  const once = conferences.flatMap((conference) => people.map((user) => ({ user, conference })));
  const all = once.flatMap((pair, index) => (index % TWICE_EVERY === 0 ? [pair, pair] : [pair]));

  const answers = await atMost(CONNECTIONS, all, ({ user, conference }) => world.book(user, conference));
  const accepted = answers.map(isAccepted);
  const busy = answers.filter(({ status }) => status === 503).length;
  const booked = accepted.filter(Boolean).length;
  // A service that is overloaded may say so; what it says it did must have happened, and nothing else.
  if (busy === 0) expectEqual('bookings accepted', booked, once.length);
  let found = 0;
  for (const conference of conferences) {
    const rows = await world.bookings(conference);
    const expected = all.filter((pair, index) => pair.conference === conference && accepted[index] === true).length;
    expectEqual(`bookings of "${conference.name}"`, rows.length, expected);
    expectEqual(`users of "${conference.name}"`, new Set(rows.map(({ user_id: user }) => user)).size, expected);
    expectEqual(`confirmed of "${conference.name}"`, countStatus(rows, 'CONFIRMED'), Math.min(SLOTS, expected));
    await world.expectCounts(conference, {
      available: Math.max(0, SLOTS - expected),
      held: 0,
      waitlisted: Math.max(0, expected - SLOTS),
    });
    found += rows.length;
  }
  expectEqual('bookings found in the end', found, booked);
}

/** Whether a booking was made; fails for an answer that is not in the contract. */
function isAccepted(answer: Answer): boolean {
  if (answer.status === 503) {
    expectRefusal(answer, 503);
    expectEqual('Retry-After of a 503', /^\d+$/.test(String(answer.headers['retry-after'])), true);
    return false;
  }
  if (answer.status === 400) {
    expectRefusal(answer, 400);
    return false;
  }
  if (answer.status !== 201) fail(`${answer.request}, status`, '201, 400 or 503', answer.status);
  const { status } = answer.body as { status: string };
  if (status === 'CONFIRMED') expectConfirmed(answer);
  else expectWaitlisted(answer);
  return true;
}

import { countStatus, expectWaitlisted, type World } from './world.js';
import { expectEqual } from './expect.js';

const SLOTS = 5;
const NEWCOMERS = 20;

/** A freed slot is the line's: no newcomer gets it, however well timed. Throws ExpectationFailed. */
export async function noBypass(world: World): Promise<void> {
  await whileAnOfferIsOpen(world);
  for (let round = 0; round < 3; round += 1) await whileSlotsAreFreed(world);
}

async function whileAnOfferIsOpen(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [ada, ben, cem, dot, eve] = [
    await world.user(),
    await world.user(),
    await world.user(),
    await world.user(),
    await world.user(),
  ];
  const adas = await world.bookConfirmed(ada, conference);
  const bens = await world.bookWaitlisted(ben, conference, 1);
  await world.cancelActive(adas);
  await world.expectOpenOffer(bens);

  const cems = await world.bookWaitlisted(cem, conference, 1);
  await world.cancelActive(bens, ben);
  await world.expectOpenOffer(cems);
  const dots = await world.bookWaitlisted(dot, conference, 1);
  await world.confirmOffer(cems, cem);
  await world.bookWaitlisted(eve, conference, 2);
  await world.cancelActive(cems);
  await world.expectOpenOffer(dots);
  await world.expectCounts(conference, { available: 0, held: 1, waitlisted: 1 });
}

async function whileSlotsAreFreed(world: World): Promise<void> {
  const conference = await world.conference({ slots: SLOTS });
  const people = await world.severalUsers(2 * SLOTS + NEWCOMERS);
  const holders: number[] = [];
  for (const user of people.slice(0, SLOTS)) holders.push(await world.bookConfirmed(user, conference));
  const line: number[] = [];
  for (const user of people.slice(SLOTS, 2 * SLOTS)) {
    line.push(await world.bookWaitlisted(user, conference, line.length + 1));
  }

  const newcomers = people.slice(2 * SLOTS).map(async (user) => expectWaitlisted(await world.book(user, conference)));
  await Promise.all([...newcomers, ...holders.map((booking) => world.cancelActive(booking))]);
  const after = await world.bookings(conference);
  const offered = after.filter(({ status }) => status === 'ConfirmationPending').map(({ booking_id: id }) => id);
  expectEqual('bookings with an offer', offered, line);
  expectEqual('confirmed after every holder canceled', countStatus(after, 'CONFIRMED'), 0);
  expectEqual('newcomers in line', countStatus(after, 'WAITLISTED'), NEWCOMERS);
}

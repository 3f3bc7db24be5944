import { expectEqual } from './expect.js';
import { type World } from './world.js';

const SLOTS = 10;
const IN_LINE = 15;
const CANCELED = 7;

/** Slots freed at the same time make as many offers, to the first of the line. Throws ExpectationFailed. */
export async function severalCancellations(world: World): Promise<void> {
  const conference = await world.conference({ slots: SLOTS });
  const people = await world.severalUsers(SLOTS + IN_LINE);
  const holders: number[] = [];
  for (const user of people.slice(0, SLOTS)) holders.push(await world.bookConfirmed(user, conference));
  const line: { booking: number; user: string }[] = [];
  for (const user of people.slice(SLOTS)) {
    line.push({ user, booking: await world.bookWaitlisted(user, conference, line.length + 1) });
  }

  await Promise.all(holders.slice(0, CANCELED).map((booking) => world.cancelActive(booking)));
  const rows = await world.bookings(conference);
  const offered = rows.filter(({ status }) => status === 'ConfirmationPending').map(({ booking_id: id }) => id);
  const first = line.slice(0, CANCELED);
  expectEqual(
    'bookings with an offer',
    offered,
    first.map(({ booking }) => booking),
  );
  await world.expectCounts(conference, { available: 0, held: CANCELED, waitlisted: IN_LINE - CANCELED });
  const [next] = line.slice(CANCELED);
  await world.expectStatus(next?.booking ?? 0, 'WAITLISTED', 1);

  await Promise.all(first.map(({ booking, user }) => world.confirmOffer(booking, user)));
  await world.expectCounts(conference, { available: 0, held: 0, waitlisted: IN_LINE - CANCELED });
}

import { expectBetween, expectEqual } from './expect.js';
import { type World } from './world.js';

/** The full conference has a line, and a freed slot goes to its head as an offer. Throws ExpectationFailed. */
export async function waitlistAndPromotion(world: World): Promise<void> {
  const conference = await world.conference({ slots: 2 });
  const [ada, ben, cem, dot, eve, fay] = await Promise.all(Array.from({ length: 6 }, () => world.user()));
  const adas = await world.bookConfirmed(ada ?? '', conference);
  const bens = await world.bookConfirmed(ben ?? '', conference);
  const cems = await world.bookWaitlisted(cem ?? '', conference, 1);
  const dots = await world.bookWaitlisted(dot ?? '', conference, 2);
  const eves = await world.bookWaitlisted(eve ?? '', conference, 3);
  await world.expectCounts(conference, { available: 0, held: 0, waitlisted: 3 });

  await world.cancelActive(dots);
  await world.expectStatus(cems, 'WAITLISTED', 1);
  await world.expectStatus(eves, 'WAITLISTED', 2);

  const canceledFrom = Date.now();
  await world.cancelActive(adas);
  const deadline = await world.expectOpenOffer(cems);
  expectBetween('the deadline of the offer', deadline, canceledFrom, conference.startMs);
  const row = (await world.bookings(conference)).find(({ booking_id: id }) => id === cems);
  expectEqual('can_confirm in the list of the conference', row?.can_confirm, true);
  expectEqual('deadline in the list of the conference', Date.parse(row?.confirmation_deadline ?? ''), deadline);
  await world.expectCounts(conference, { available: 0, held: 1, waitlisted: 1 });
  await world.expectStatus(eves, 'WAITLISTED', 1);

  await world.confirmOffer(cems, cem ?? '');
  await world.expectStatus(cems, 'CONFIRMED');
  await world.expectCounts(conference, { available: 0, held: 0, waitlisted: 1 });

  await world.cancelActive(bens, ben);
  await world.expectOpenOffer(eves);
  await world.cancelActive(eves, eve);
  await world.expectStatus(eves, 'CANCELED');
  await world.expectCounts(conference, { available: 1, held: 0, waitlisted: 0 });
  await world.bookConfirmed(fay ?? '', conference);
}

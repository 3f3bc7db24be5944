import { expectRefusal } from './expect.js';
import { type World } from './world.js';

const DENIED = 'Access denied: booking belongs to different user';

/** Only the owner confirms, and a cancel that names a user must name the owner. Throws ExpectationFailed. */
export async function authorization(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [holder, owner, stranger] = [await world.user(), await world.user(), await world.user()];
  const held = await world.bookConfirmed(holder, conference);
  const booking = await world.bookWaitlisted(owner, conference, 1);

  expectRefusal(await world.confirm(held, stranger), 400, { message: DENIED });
  expectRefusal(await world.confirm(booking, stranger), 400, { message: DENIED });
  expectRefusal(await world.cancel(held, stranger), 400, { message: DENIED });
  expectRefusal(await world.cancel(booking, holder), 400, { message: DENIED });
  await world.expectStatus(held, 'CONFIRMED');
  await world.expectStatus(booking, 'WAITLISTED', 1);

  await world.cancelActive(held, holder);
  expectRefusal(await world.confirm(booking, stranger), 400, { message: DENIED });
  expectRefusal(await world.confirm(booking, holder), 400, { message: DENIED });
  expectRefusal(await world.cancel(booking, stranger), 400, { message: DENIED });
  await world.expectOpenOffer(booking);
  await world.confirmOffer(booking, owner);

  await world.cancelActive(booking);
  expectRefusal(await world.cancel(booking, stranger), 400, { message: DENIED });
  expectRefusal(await world.confirm(booking, stranger), 400, { message: DENIED });

  const unknown = Number.MAX_SAFE_INTEGER;
  expectRefusal(await world.confirm(unknown, owner), 404);
  expectRefusal(await world.cancel(unknown, owner), 404);
  const withoutUser = { booking_id: unknown };
  expectRefusal(await world.api.send('POST', '/confirm', withoutUser), 400, { names: 'user_id' });
}

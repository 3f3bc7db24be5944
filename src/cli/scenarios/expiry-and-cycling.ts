import { type Booking } from '../api-client.js';
import { clockReaches, eventually } from './eventually.js';
import { expectBetween, expectEqual, expectRefusal, ExpectationFailed } from './expect.js';
import { deadlineMs, type World } from './world.js';

/** Longer windows would make this scenario a matter of waiting. */
const LONGEST_WINDOW_MS = 30_000;
const EXPIRY_LIMIT_MS = 500;
/** What a busy machine may add until this program sees what happened. */
const CLIENT_OVERHEAD_MS = 300;
/** The clocks of service and client may differ by this much, no more, for the deadlines to be judged. */
const CLOCK_TOLERANCE_MS = 50;

/** A missed offer goes to the next, and its booking to the end of the line. Throws ExpectationFailed. */
export async function expiryAndCycling(world: World): Promise<void> {
  await Promise.all([cycling(world), aloneInLine(world)]);
}

async function cycling(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [ada, ben, cem, dot] = [await world.user(), await world.user(), await world.user(), await world.user()];
  const adas = await world.bookConfirmed(ada, conference);
  const bens = await world.bookWaitlisted(ben, conference, 1);
  const cems = await world.bookWaitlisted(cem, conference, 2);
  const dots = await world.bookWaitlisted(dot, conference, 3);
  await world.cancelActive(adas);
  const deadline = await firstDeadline(world, bens);

  await clockReaches(deadline + CLOCK_TOLERANCE_MS);
  expectRefusal(await world.confirm(bens, ben), 400);
  await becomes(world, cems, deadline, ({ status }) => status === 'ConfirmationPending');
  await world.expectStatus(dots, 'WAITLISTED', 1);
  await world.expectStatus(bens, 'WAITLISTED', 2);
  await world.expectCounts(conference, { available: 0, held: 1, waitlisted: 2 });
  expectRefusal(await world.confirm(bens, ben), 400);

  await world.confirmOffer(cems, cem);
  await world.cancelActive(cems);
  await world.expectOpenOffer(dots);
  await world.cancelActive(dots, dot);
  await world.expectOpenOffer(bens);
  await world.confirmOffer(bens, ben);
  await world.expectStatus(bens, 'CONFIRMED');
}

async function aloneInLine(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [ada, eve] = [await world.user(), await world.user()];
  const adas = await world.bookConfirmed(ada, conference);
  const eves = await world.bookWaitlisted(eve, conference, 1);
  await world.cancelActive(adas);
  const deadline = await firstDeadline(world, eves);

  const again = await becomes(world, eves, deadline, (booking) => {
    // The one in line gets the slot that the one who missed gave up, in one step: nothing is to be seen between.
    expectEqual('status of somebody alone in line', booking.status, 'ConfirmationPending');
    return deadlineMs(booking) !== deadline;
  });
  expectEqual('can_confirm of the second offer', again.can_confirm, true);
  await world.confirmOffer(eves, eve);
  await world.expectStatus(eves, 'CONFIRMED');
}

/** The deadline of the offer just made. Throws ExpectationFailed where waiting for it makes no sense. */
async function firstDeadline(world: World, bookingId: number): Promise<number> {
  const deadline = await world.expectOpenOffer(bookingId);
  const windowMs = deadline - Date.now();
  if (windowMs > LONGEST_WINDOW_MS) {
    throw new ExpectationFailed(
      `this service leaves an offer open for about ${Math.round(windowMs / 1000)} s: ` +
        'start it with a short window, such as CONFIRMATION_WINDOW_SECONDS=2, to see offers expire',
    );
  }
  return deadline;
}

/** Waits until the booking is as wanted, which it must be from the deadline on, and soon after it. */
async function becomes(
  world: World,
  bookingId: number,
  deadline: number,
  isAsWanted: (booking: Booking) => boolean,
): Promise<Booking> {
  const latest = EXPIRY_LIMIT_MS + CLIENT_OVERHEAD_MS;
  const booking = await eventually(`booking ${bookingId} offered`, deadline + 10_000 - Date.now(), async () => {
    const askedAt = Date.now();
    const seen = await world.booking(bookingId);
    if (isAsWanted(seen)) return seen;
    if (seen.status === 'ConfirmationPending' && askedAt > deadline + CLOCK_TOLERANCE_MS) {
      expectEqual('can_confirm after the deadline', seen.can_confirm, false);
    }
    return undefined;
  });
  expectBetween('ms from the deadline to the next offer', Date.now() - deadline, -CLOCK_TOLERANCE_MS, latest);
  return booking;
}

import { expectEqual, expectRefusal } from './expect.js';
import { type World } from './world.js';

const MINUTE_MS = 60_000;
const SECOND_MS = 1000;

/** Nobody is at two places at once; back to back is allowed, and a duplicate is named first. Throws ExpectationFailed. */
export async function overlaps(world: World): Promise<void> {
  const middle = await world.conference({ slots: 2 });
  const { startMs, endMs } = middle;
  const user = await world.user();
  const booking = await world.bookConfirmed(user, middle);
  const duplicate = expectRefusal(await world.book(user, middle), 400);

  const overlapping = [
    await world.conference({ slots: 2, startMs, endMs }),
    await world.conference({ slots: 2, startMs: endMs - SECOND_MS, endMs: endMs + MINUTE_MS }),
    await world.conference({ slots: 2, startMs: startMs - MINUTE_MS, endMs: startMs + SECOND_MS }),
    await world.conference({ slots: 2, startMs: startMs + MINUTE_MS, endMs: endMs - MINUTE_MS }),
    await world.conference({ slots: 2, startMs: startMs - MINUTE_MS, endMs: endMs + MINUTE_MS }),
  ];
  for (const conference of overlapping) {
    const code = expectRefusal(await world.book(user, conference), 400);
    expectEqual('an overlap and a duplicate have codes of their own', code === duplicate, false);
  }

  await world.bookConfirmed(user, await world.conference({ startMs: endMs, endMs: endMs + MINUTE_MS }));
  await world.bookConfirmed(user, await world.conference({ startMs: startMs - MINUTE_MS, endMs: startMs }));
  await world.cancelActive(booking);
  const [within] = overlapping.slice(3);
  if (within !== undefined) await world.bookConfirmed(user, within);
  await aPlaceInLineOverlapsToo(world);
}

async function aPlaceInLineOverlapsToo(world: World): Promise<void> {
  const full = await world.conference({ slots: 1 });
  const other = await world.conference({ slots: 1, startMs: full.startMs + MINUTE_MS });
  const [holder, user] = [await world.user(), await world.user()];
  const held = await world.bookConfirmed(holder, full);
  const waiting = await world.bookWaitlisted(user, full, 1);
  expectRefusal(await world.book(user, other), 400);
  await world.cancelActive(held);
  await world.expectOpenOffer(waiting);
  expectRefusal(await world.book(user, other), 400);
  await world.cancelActive(waiting);
  await world.bookConfirmed(user, other);
}

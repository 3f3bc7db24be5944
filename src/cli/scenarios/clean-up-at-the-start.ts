import { clockReaches, eventually } from './eventually.js';
import { expectBetween, expectEqual, expectList, expectRefusal } from './expect.js';
import { countStatus, type World } from './world.js';

const STARTS_IN_MS = 3000;
const CLEAN_UP_LIMIT_MS = 1500;
/** For the clocks of service and client to differ. */
const CLOCK_TOLERANCE_MS = 50;

/** From its start on a conference has confirmed and canceled bookings only. Throws ExpectationFailed. */
export async function cleanUpAtTheStart(world: World): Promise<void> {
  const people = [await world.user(), await world.user(), await world.user(), await world.user(), await world.user()];
  const [ada = '', ben = '', cem = '', dot = '', late = ''] = people;
  const topic = world.topic('soon');
  const conference = await world.conference({ slots: 2, startMs: Date.now() + STARTS_IN_MS, topics: [topic] });
  const adas = await world.bookConfirmed(ada, conference);
  const bens = await world.bookConfirmed(ben, conference);
  const cems = await world.bookWaitlisted(cem, conference, 1);
  const dots = await world.bookWaitlisted(dot, conference, 2);
  await world.cancelActive(bens);
  const deadline = await world.expectOpenOffer(cems);
  expectBetween('the deadline, which is never after the start', deadline, Date.now(), conference.startMs);

  await clockReaches(conference.startMs + CLOCK_TOLERANCE_MS);
  expectRefusal(await world.book(late, conference), 400);
  expectRefusal(await world.confirm(cems, cem), 400);
  expectRefusal(await world.confirm(dots, dot), 400);
  await eventually('nobody waiting and no offer', conference.startMs + CLEAN_UP_LIMIT_MS - Date.now(), async () => {
    const rows = await world.bookings(conference);
    return countStatus(rows, 'WAITLISTED') + countStatus(rows, 'ConfirmationPending') === 0 ? true : undefined;
  });

  await world.expectStatus(cems, 'CANCELED');
  await world.expectStatus(dots, 'CANCELED');
  await world.expectStatus(adas, 'CONFIRMED');
  await world.expectCounts(conference, { available: 1, held: 0, waitlisted: 0 });
  expectRefusal(await world.book(late, conference), 400);
  expectRefusal(await world.confirm(cems, cem), 400);
  expectRefusal(await world.cancel(cems, cem), 400);
  await world.cancelActive(adas, ada);
  await world.expectStatus(adas, 'CANCELED');
  const listed = await world.api.send('GET', `/conferences?${new URLSearchParams({ topic }).toString()}`);
  expectEqual('conferences listed after the start', expectList(listed), []);
}

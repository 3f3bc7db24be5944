import { fieldBounds } from './field-bounds.js';
import { httpErrors } from './http-errors.js';
import { overlaps } from './overlaps.js';
import { expectEach, expectEqual, expectRefusal } from './expect.js';
import { pagesOfConferences } from './pages-of-conferences.js';
import { timeForms } from './time-forms.js';
import { type World } from './world.js';

/** Requests that come twice, too late, for nothing or in a wrong shape. Throws ExpectationFailed. */
export async function edgeCases(world: World): Promise<void> {
  const parts = {
    onceOnly,
    backOfTheLine,
    overlaps,
    unknownThings,
    httpErrors,
    fieldBounds,
    timeForms,
    pagesOfConferences,
  };
  await expectEach(Object.entries(parts), (part) => part(world));
}

async function onceOnly(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [ada, ben] = [await world.user(), await world.user()];
  const adas = await world.bookConfirmed(ada, conference);
  const notPending = expectRefusal(await world.confirm(adas, ada), 400);
  const duplicate = expectRefusal(await world.book(ada, conference), 400);

  const bens = await world.bookWaitlisted(ben, conference, 1);
  expectEqual('code of confirming on the waitlist', expectRefusal(await world.confirm(bens, ben), 400), notPending);
  expectEqual('code of booking twice', expectRefusal(await world.book(ben, conference), 400), duplicate);
  await world.cancelActive(adas);
  const canceled = expectRefusal(await world.cancel(adas), 400);
  expectEqual('code of canceling twice as the owner', expectRefusal(await world.cancel(adas, ada), 400), canceled);
  expectEqual('code of booking with an offer', expectRefusal(await world.book(ben, conference), 400), duplicate);
  await world.confirmOffer(bens, ben);
  expectEqual('code of confirming twice', expectRefusal(await world.confirm(bens, ben), 400), notPending);
  await world.cancelActive(bens);
  expectRefusal(await world.confirm(bens, ben), 400);
  expectEqual('code of canceling twice', expectRefusal(await world.cancel(bens, ben), 400), canceled);

  const cancels = await cancelTogether(world, await world.bookConfirmed(ada, conference));
  expectEqual('successes of five cancels at once', cancels.filter((status) => status === 200).length, 1);
}

async function cancelTogether(world: World, booking: number): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: 5 }, () => world.cancel(booking)));
  answers.filter(({ status }) => status !== 200).forEach((answer) => expectRefusal(answer, 400));
  return answers.map(({ status }) => status);
}

async function backOfTheLine(world: World): Promise<void> {
  const conference = await world.conference({ slots: 1 });
  const [ada, ben, cem] = [await world.user(), await world.user(), await world.user()];
  await world.bookConfirmed(ada, conference);
  const bens = await world.bookWaitlisted(ben, conference, 1);
  const cems = await world.bookWaitlisted(cem, conference, 2);
  await world.cancelActive(bens);
  await world.expectStatus(cems, 'WAITLISTED', 1);
  const again = await world.bookWaitlisted(ben, conference, 2);
  await world.expectStatus(again, 'WAITLISTED', 2);
  await world.expectStatus(bens, 'CANCELED');
}

async function unknownThings(world: World): Promise<void> {
  const { api } = world;
  const [conference, user] = [await world.conference(), await world.user()];
  const name = encodeURIComponent(world.newName());
  expectRefusal(await api.send('GET', `/conference/${name}`), 404);
  expectRefusal(await api.send('GET', `/conference/${name}/bookings`), 404);
  expectRefusal(await api.send('GET', `/user/${world.newUserId()}/bookings`), 404);
  expectRefusal(await api.send('GET', '/booking/999999999'), 404);
  expectRefusal(await world.book(user, { name: world.newName() }), 400);
  expectRefusal(await world.book(world.newUserId(), conference), 400);

  const taken = { user_id: user, topics: ['databases'] };
  expectRefusal(await api.send('POST', '/user', taken), 400, { message: 'User already exists' });
  const again = {
    name: conference.name,
    location: 'Hall 6',
    start: new Date(conference.startMs).toISOString(),
    end: new Date(conference.endMs).toISOString(),
    slots: 1,
    topics: ['databases'],
  };
  expectRefusal(await api.send('POST', '/conference', again), 400, { message: 'conference already exists' });
}

import { aSentence, expectAnswer, expectEqual, expectList, fail } from './expect.js';
import { asBooking, asConference } from './shapes.js';
import { type OwnConference, type World } from './world.js';

/** Somebody books, everyone sees it, and canceling gives the slot back. Throws ExpectationFailed. */
export async function bookingAndCanceling(world: World): Promise<void> {
  const topic = world.topic('first');
  const conference = await world.conference({ slots: 2, topics: [topic] });
  const [ada, ben] = [await world.user(), await world.user()];
  await expectListed(world, conference, topic);
  await world.expectCounts(conference, { available: 2, held: 0, waitlisted: 0 });

  const booking = await world.bookConfirmed(ada, conference);
  await world.expectStatus(booking, 'CONFIRMED');
  await world.bookConfirmed(ben, conference);
  await world.expectCounts(conference, { available: 0, held: 0, waitlisted: 0 });
  await expectOldestFirst(world, conference, [ada, ben]);
  await expectOwnBookings(world, ada, [booking]);

  await world.cancelActive(booking);
  await world.expectStatus(booking, 'CANCELED');
  await world.expectCounts(conference, { available: 1, held: 0, waitlisted: 0 });

  const second = await world.bookConfirmed(ada, conference);
  if (second === booking) fail('booking again after a cancel', 'a booking of its own', second);
  await world.expectStatus(booking, 'CANCELED');
  await expectOldestFirst(world, conference, [ada, ben, ada]);
  await expectOwnBookings(world, ada, [booking, second]);
  await world.cancelActive(second, ada);
  await expectOwnBookings(world, await world.user(), []);
}

async function expectListed(world: World, conference: OwnConference, topic: string): Promise<void> {
  const answer = await world.api.send('GET', `/conferences?${new URLSearchParams({ topic }).toString()}`);
  const listed = expectList(answer).map((value) => asConference(answer.request, value));
  expectEqual(
    `${answer.request}, names`,
    listed.map(({ name }) => name),
    [conference.name],
  );
  const one = await world.conferenceNow(conference);
  expectEqual('the same conference listed and alone', listed[0], one);
  expectEqual('start of the conference', Date.parse(one.start), conference.startMs);
  expectEqual('end of the conference', Date.parse(one.end), conference.endMs);
  expectEqual('topics of the conference', one.topics, [topic]);
  expectEqual('location of the conference', one.location, 'Hall 5');
}

async function expectOldestFirst(world: World, conference: OwnConference, users: string[]): Promise<void> {
  const bookings = await world.bookings(conference);
  expectEqual(
    'users of the bookings, oldest first',
    bookings.map(({ user_id: userId }) => userId),
    users,
  );
  const created = bookings.map(({ created_at: at }) => Date.parse(at));
  expectEqual(
    'created_at, oldest first',
    created,
    [...created].sort((a, b) => a - b),
  );
}

async function expectOwnBookings(world: World, userId: string, ids: number[]): Promise<void> {
  const answer = await world.api.send('GET', `/user/${userId}/bookings`);
  const bookings = expectList(answer).map((value) => asBooking(answer.request, value));
  const seen = bookings.map(({ booking_id: id }) => id).sort((a, b) => a - b);
  expectEqual(`${answer.request}, booking_id`, seen, ids);
  for (const booking of bookings) {
    const alone = await world.api.send('GET', `/booking/${booking.booking_id}`);
    expectEqual('the same booking alone and among its user’s', booking, alone.body);
    expectAnswer(alone, 200, { conference_name: aSentence });
  }
}

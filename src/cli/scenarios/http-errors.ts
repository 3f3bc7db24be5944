import { expectAnswer, expectEach, expectRefusal } from './expect.js';
import { type World } from './world.js';

const POSTS = ['/user', '/conference', '/book', '/confirm', '/cancel'] as const;
const TOO_LARGE = `{"user_id": "${'a'.repeat(5 * 1024 * 1024)}"}`;

/** What is wrong before anybody asks what it means: each gets an error as the contract wants it. Throws ExpectationFailed. */
export async function httpErrors(world: World): Promise<void> {
  const { api } = world;
  const json = { 'content-type': 'application/json' };
  await expectEach(
    POSTS.map((path) => [path, path] as const),
    async (path) => {
      for (const text of ['{"user_id": ', '{user_id: 1}', '', 'null', '[]', '"text"', '5', '[{"user_id": "a"}]']) {
        expectRefusal(await api.sendRaw('POST', path, json, text), 400);
      }
      for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded']) {
        expectRefusal(await api.sendRaw('POST', path, { 'content-type': type }, 'user_id=a'), 415);
      }
      expectRefusal(await api.sendRaw('POST', path, json, TOO_LARGE), 413);
    },
  );

  const unknown: (readonly [method: string, path: string])[] = [
    ['GET', '/nothing'],
    ['GET', '/booking'],
    ['GET', '/conference'],
    ['GET', '/user/someone'],
    ['DELETE', '/user'],
    ['PUT', '/book'],
    ['GET', '/book'],
    ['PATCH', '/booking/1'],
    ['DELETE', '/booking/1'],
    ['POST', '/conferences'],
  ];
  await expectEach(
    unknown.map((line) => [line.join(' '), line] as const),
    async ([method, path]) => {
      expectRefusal(await api.send(method, path), 404);
    },
  );
  expectRefusal(await api.send('POST', '/nothing', { a: 1 }), 404);

  const odd = ['/booking/abc', '/booking/0', '/booking/-1', '/booking/1.5', '/booking/99999999999999999999'];
  await expectEach(
    [...odd, '/conference/%E0%A4%A/bookings', '/user/a%20b/bookings', '/conferences?limit=x'].map((path) => [
      path,
      path,
    ]),
    async (path) => {
      expectRefusal(await api.send('GET', path), [400, 404]);
    },
  );
  await unknownFields(world);
}

async function unknownFields(world: World): Promise<void> {
  const { api } = world;
  const [userId, name] = [world.newUserId(), world.newName()];
  const user = { user_id: userId, topics: ['databases'] };
  const conference = {
    name,
    location: 'Hall 5',
    start: '2099-03-01 09:00:00',
    end: '2099-03-01 10:00:00',
    slots: 1,
    topics: ['databases'],
  };
  const bodies: Record<(typeof POSTS)[number], Record<string, unknown>> = {
    '/user': user,
    '/conference': conference,
    '/book': { user_id: userId, name },
    '/confirm': { booking_id: 1, user_id: userId },
    '/cancel': { booking_id: 1 },
  };
  for (const path of POSTS) {
    const answer = await api.send('POST', path, { ...bodies[path], surprise: true });
    expectRefusal(answer, 400, { names: 'surprise' });
  }
  // A refused request has done nothing: the same without the field is new.
  expectAnswer(await api.send('POST', '/user', user), 201, { message: 'User added successfully' });
  expectAnswer(await api.send('POST', '/conference', conference), 201, { message: 'conference added successfully' });
}

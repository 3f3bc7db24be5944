import { expectAnswer, expectEach, expectRefusal } from './expect.js';
import { type World } from './world.js';

type Body = Record<string, unknown>;
type Cases = readonly (readonly [title: string, change: Body])[];

/** Every field at its bounds, and just beyond them refused by name. Throws ExpectationFailed. */
export async function fieldBounds(world: World): Promise<void> {
  await userFields(world);
  await conferenceFields(world);
  await bookingFields(world);
}

async function userFields(world: World): Promise<void> {
  const fresh = (): Body => ({ user_id: world.newUserId(), topics: ['databases'] });
  const longest = world.newUserId().padEnd(255, 'x');
  const accepted: Cases = [
    ['user_id of 255', { user_id: longest }],
    ['topics: 50', { topics: texts(50) }],
    ['topic of 255', { topics: ['t'.repeat(255)] }],
    ['topic of one digit', { topics: ['7'] }],
    ['topic with single spaces', { topics: ['a b c'] }],
  ];
  await expectEach(accepted, async (change) => {
    const answer = await world.api.send('POST', '/user', { ...fresh(), ...change });
    expectAnswer(answer, 201, { message: 'User added successfully' });
  });
  expectRefusal(await world.api.send('POST', '/user', { user_id: longest, topics: ['databases'] }), 400, {
    message: 'User already exists',
  });
  const badIds = ['', `${longest}x`, 'a b', 'a_b', 'a-b', 'Zoë', 'a\n', ' a', 5, null, true, ['a'], {}];
  await expectRefused(world, '/user', fresh, [
    ...badIds.map((value) => [`user_id ${JSON.stringify(value).slice(0, 20)}`, { user_id: value }] as const),
    ...badTopics(51).map((value) => [`topics ${JSON.stringify(value).slice(0, 20)}`, { topics: value }] as const),
    ['no user_id', { user_id: undefined }],
    ['no topics', { topics: undefined }],
  ]);
}

async function conferenceFields(world: World): Promise<void> {
  const fresh = (): Body => ({
    name: world.newName(),
    location: 'Hall 5',
    start: '2098-03-01 09:00:00',
    end: '2098-03-01 17:00:00',
    slots: 5,
    topics: ['databases'],
  });
  const accepted: Cases = [
    ['name of 255', { name: world.newName().padEnd(255, 'x') }],
    ['location of 255', { location: 'x'.repeat(255) }],
    ['location of 1', { location: '5' }],
    ['topics: 10', { topics: texts(10) }],
    ['slots 1', { slots: 1 }],
    ['slots 1000000', { slots: 1_000_000 }],
  ];
  await expectEach(accepted, async (change) => {
    const answer = await world.api.send('POST', '/conference', { ...fresh(), ...change });
    expectAnswer(answer, 201, { message: 'conference added successfully' });
  });
  const badNames = ['', 'x'.repeat(256), ' a', 'a ', 'a  b', 'a_b', 'Café', 'a\tb', 'a/b', 5, null, ['a'], {}];
  await expectRefused(world, '/conference', fresh, [
    ...['name', 'location'].flatMap((field) => [
      ...badNames.map((value) => [`${field} ${JSON.stringify(value).slice(0, 20)}`, { [field]: value }] as const),
      [`no ${field}`, { [field]: undefined }] as const,
    ]),
    ...badTopics(11).map((value) => [`topics ${JSON.stringify(value).slice(0, 20)}`, { topics: value }] as const),
    ['no topics', { topics: undefined }],
  ]);
}

async function bookingFields(world: World): Promise<void> {
  const [user, conference] = [await world.user(), await world.conference()];
  const booking = await world.bookConfirmed(user, conference);
  await expectRefused(world, '/book', () => ({ user_id: user, name: conference.name }), [
    ['no user_id', { user_id: undefined }],
    ['user_id a number', { user_id: 5 }],
    ['no name', { name: undefined }],
    ['name a list', { name: [conference.name] }],
    ['name null', { name: null }],
  ]);
  const badIds: Cases = [
    ['no booking_id', { booking_id: undefined }],
    ['booking_id null', { booking_id: null }],
    ['booking_id a fraction', { booking_id: booking + 0.5 }],
    ['booking_id a word', { booking_id: 'one' }],
    ['booking_id a list', { booking_id: [booking] }],
  ];
  await expectRefused(world, '/cancel', () => ({ booking_id: booking }), [...badIds, ['user_id 5', { user_id: 5 }]]);
  await expectRefused(world, '/confirm', () => ({ booking_id: booking, user_id: user }), [
    ...badIds,
    ['no user_id', { user_id: undefined }],
    ['user_id null', { user_id: null }],
  ]);
  await world.expectStatus(booking, 'CONFIRMED');
}

/** Every change is refused with 400 and the name of the field that it changes. */
async function expectRefused(world: World, path: string, fresh: () => Body, cases: Cases): Promise<void> {
  await expectEach(cases, async (change) => {
    const [names = ''] = Object.keys(change);
    expectRefusal(await world.api.send('POST', path, { ...fresh(), ...change }), 400, { names });
  });
}

function badTopics(tooMany: number): unknown[] {
  const lists = [[], texts(tooMany), ['a', 'a'], [''], ['t'.repeat(256)], [' a'], ['a '], ['a  b'], ['a-b'], ['ü']];
  return [...lists, ['a', 5], [null], 'a', null, {}, 5];
}

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `topic ${index}`);
}

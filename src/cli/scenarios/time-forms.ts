import { expectAnswer, expectEach, expectEqual, expectRefusal } from './expect.js';
import { type World } from './world.js';

const HOUR_MS = 3_600_000;

/** Both forms of time mean one instant, and a date that does not exist is refused. Throws ExpectationFailed. */
export async function timeForms(world: World): Promise<void> {
  const accepted: (readonly [start: string, utc: string])[] = [
    ['2097-03-01 09:00:00', '2097-03-01T09:00:00Z'],
    ['2097-03-01T09:00:00Z', '2097-03-01T09:00:00Z'],
    ['2097-03-01T09:00:00.250Z', '2097-03-01T09:00:00.250Z'],
    ['2097-03-01T09:00:00+02:00', '2097-03-01T07:00:00Z'],
    ['2097-03-01T09:00:00.500-05:30', '2097-03-01T14:30:00.500Z'],
    ['2096-02-29 00:00:00', '2096-02-29T00:00:00Z'],
    ['2097-12-31 23:59:59', '2097-12-31T23:59:59Z'],
  ];
  await expectEach(
    accepted.map(([start, utc]) => [start, { start, utc }] as const),
    async ({ start, utc }) => {
      const body = conference(world, start, new Date(Date.parse(utc) + HOUR_MS).toISOString());
      expectAnswer(await world.api.send('POST', '/conference', body), 201, {
        message: 'conference added successfully',
      });
      const seen = await world.conferenceNow(body);
      expectEqual('start', Date.parse(seen.start), Date.parse(utc));
      expectEqual('end', Date.parse(seen.end), Date.parse(utc) + HOUR_MS);
    },
  );

  const refused = [
    '2097-02-30 09:00:00',
    '2097-02-30T09:00:00Z',
    '2097-02-29 09:00:00',
    '2097-04-31 09:00:00',
    '2097-13-01 09:00:00',
    '2097-00-01 09:00:00',
    '2097-03-00 09:00:00',
    '2097-03-01 24:00:00',
    '2097-03-01 09:60:00',
    '2097-03-01 09:00:60',
    '2097-03-01 09:00',
    '2097-03-01',
    '2097-03-01T09:00:00',
    '2097-03-01T09:00:00+25:00',
    '01.03.2097 09:00:00',
    '2097-3-1 9:00:00',
    ' 2097-03-01 09:00:00',
    'tomorrow',
    '',
    4_012_974_000_000,
    null,
    undefined,
  ];
  await expectEach(
    ['start', 'end'].flatMap((field) =>
      refused.map((value) => [`${field} ${String(value)}`, { field, value }] as const),
    ),
    async ({ field, value }) => {
      const whole = { ...conference(world, '2097-03-01 09:00:00', '2097-03-01 10:00:00'), [field]: value };
      expectRefusal(await world.api.send('POST', '/conference', whole), 400, { names: field });
    },
  );
}

function conference(world: World, start: string, end: string): { name: string } & Record<string, unknown> {
  return { name: world.newName(), location: 'Hall 5', start, end, slots: 1, topics: ['databases'] };
}

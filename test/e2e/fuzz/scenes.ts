import fc from 'fast-check';
import type { Backstage } from '../../support/seating.js';
import type { Field } from './document.js';

const MINUTE_MS = 60_000;
const YEAR_2040_MS = Date.UTC(2040, 0, 1);
const STATUSES = ['CONFIRMED', 'WAITLISTED', 'ConfirmationPending', 'CANCELED'];

/** Who asks: `owner`, the user whom the request is about, unless something odd befalls it; `forger`, with a token that nobody gave them. */
export type Asker = 'owner' | 'organizer' | 'stranger' | 'forger' | 'nobody';

/** Which of the things that exist a request is about: a booking in some status, or a user and a conference. */
export interface Wish {
  status: string | null;
  pick: number;
  /** When a conference begins, and how long it is, where the request makes one. */
  minute: number;
  minutes: number;
  slots: number;
  asker: Asker;
}

export const wish: fc.Arbitrary<Wish> = fc.record({
  status: fc.oneof(fc.constant(null), fc.constantFrom(...STATUSES), fc.constant('ConfirmationPending')),
  pick: fc.nat({ max: 1_000_000 }),
  minute: fc.nat({ max: 20_000_000 }),
  minutes: fc.integer({ min: 1, max: 12 * 60 }),
  slots: fc.integer({ min: 1, max: 3 }),
  asker: fc.oneof(
    // Only the owner confirms, and only an organizer makes a conference.
    { weight: 7, arbitrary: fc.constant<Asker>('owner') },
    { weight: 3, arbitrary: fc.constant<Asker>('organizer') },
    { weight: 1, arbitrary: fc.constantFrom<Asker>('stranger', 'forger', 'nobody') },
  ),
});

/** What exists, by the names that fields have in requests. */
export interface Scene {
  user_id: string;
  name: string;
  topic: string;
  booking_id: number;
  start: string;
  end: string;
  slots: number;
  'Idempotency-Key': string;
}

const A_BOOKING = `
  SELECT booking_id::int, user_id, name FROM bookings JOIN conferences USING (conference_id)
  WHERE status::text = $1 ORDER BY booking_id
  OFFSET $2::int % (SELECT greatest(count(*), 1) FROM bookings WHERE status::text = $1) LIMIT 1`;

/** A booking that does not exist, beside them: a conference and a user who may have nothing to do with each other. */
const STRANGERS = `
  SELECT (SELECT 1 + coalesce(max(booking_id), 0) FROM bookings)::int AS booking_id, u.user_id, c.name FROM
    (SELECT user_id FROM users ORDER BY user_id OFFSET $1::int % (SELECT count(*) FROM users) LIMIT 1) u,
    (SELECT name FROM conferences ORDER BY conference_id OFFSET $1::int / 7 % (SELECT count(*) FROM conferences) LIMIT 1) c`;

type Found = Pick<Scene, 'user_id' | 'name' | 'booking_id'>;

/** What there is just now that fits a wish. There must be a user and a conference. */
export async function findScene(backstage: Backstage, { status, pick, ...conference }: Wish): Promise<Scene> {
  const [booking] = status === null ? [] : await backstage.query<Found>(A_BOOKING, [status, pick]);
  const found = booking ?? (await backstage.query<Found>(STRANGERS, [pick]))[0];
  if (found === undefined) throw new Error('There is nothing yet that a request could be about');
  const startMs = YEAR_2040_MS + conference.minute * MINUTE_MS;
  return {
    ...found,
    topic: 'all',
    start: written(startMs, pick),
    end: written(startMs + conference.minutes * MINUTE_MS, pick + 1),
    slots: conference.slots,
    'Idempotency-Key': `key ${pick % 60}`,
  };
}

/** What a field of a request is in a scene; undefined: no scene knows it. */
export function known(scene: Scene, { name, schema }: Field): unknown {
  if (name === 'after') return schema.type === 'integer' ? scene.booking_id : scene.name;
  return name in scene ? scene[name as keyof Scene] : undefined;
}

/** In one of the forms that instants may have. */
function written(ms: number, way: number): string {
  const iso = new Date(ms).toISOString();
  return [iso, iso.slice(0, 19).replace('T', ' '), `${iso.slice(0, 16)}+00:00`][way % 3] ?? iso;
}

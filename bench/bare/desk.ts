import type { Pool, PoolClient } from 'pg';

/** Somebody who wants a seat, and how they are told what came of it. */
export interface Wish {
  userId: string;
  conference: string;
  answer: (status: number, body: object) => void;
}

interface ConferenceRow {
  conference_id: number;
  name: string;
  during: string;
  available_slots: number;
  waitlisted: number;
}

interface Seat {
  wish: Wish;
  conference: ConferenceRow;
  ticket: number | null;
}

const LOCK_CONFERENCES = `SELECT conference_id, name, tstzrange(starts_at, ends_at)::text AS during, available_slots, waitlisted
  FROM conferences WHERE name = ANY ($1) ORDER BY conference_id FOR NO KEY UPDATE`;
const LOCK_USERS = 'SELECT user_id FROM users WHERE user_id = ANY ($1) ORDER BY user_id FOR NO KEY UPDATE';
const FIND_BUSY = `SELECT wanted.user_id FROM unnest($1::text[], $2::tstzrange[]) AS wanted (user_id, during)
  WHERE EXISTS (SELECT FROM bookings b
    WHERE b.user_id = wanted.user_id AND b.during && wanted.during AND b.status <> 'CANCELED')`;
const ADD_BOOKINGS = `INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket)
  SELECT conference_id, user_id, (CASE WHEN ticket IS NULL THEN 'CONFIRMED' ELSE 'WAITLISTED' END)::booking_status, during, ticket
  FROM unnest($1::int[], $2::text[], $3::tstzrange[], $4::bigint[]) AS seat (conference_id, user_id, during, ticket)
  RETURNING booking_id`;
const UPDATE_CONFERENCES = `UPDATE conferences c SET available_slots = n.available_slots, waitlisted = n.waitlisted
  FROM unnest($1::int[], $2::int[], $3::int[]) AS n (conference_id, available_slots, waitlisted)
  WHERE c.conference_id = n.conference_id`;

/** Books for all of these in one transaction, and answers them after it. */
export async function seat(pool: Pool, wishes: readonly Wish[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const answers = await decideAndWrite(client, wishes);
    await client.query('COMMIT');
    for (const answer of answers) answer();
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    for (const wish of wishes) wish.answer(500, { message: String(error) });
  } finally {
    client.release();
  }
}

async function decideAndWrite(client: PoolClient, wishes: readonly Wish[]): Promise<(() => void)[]> {
  const run = async <Row>(name: string, text: string, values: unknown[]): Promise<Row[]> =>
    (await client.query({ name, text, values })).rows as Row[];
  const names = [...new Set(wishes.map(({ conference }) => conference))];
  const conferences = await run<ConferenceRow>('lock conferences', LOCK_CONFERENCES, [names]);
  const byName = new Map(conferences.map((conference) => [conference.name, conference]));
  const userIds = [...new Set(wishes.map(({ userId }) => userId))];
  const users = await run<{ user_id: string }>('lock users', LOCK_USERS, [userIds]);
  // Each user is served once in a transaction: a second wish is refused, and not weighed against the first.
  const known = new Set(users.map(({ user_id: userId }) => userId));
  const answers: (() => void)[] = [];
  const refuse = (wish: Wish, message: string): void => void answers.push(() => wish.answer(400, { message }));
  const possible: Seat[] = [];
  for (const wish of wishes) {
    const conference = byName.get(wish.conference);
    if (conference === undefined) refuse(wish, 'Conference not found');
    else if (!known.delete(wish.userId)) refuse(wish, 'User not found');
    else possible.push({ wish, conference, ticket: null });
  }
  if (possible.length === 0) return answers;
  const asked = [possible.map(({ wish }) => wish.userId), possible.map(({ conference }) => conference.during)];
  const busy = new Set(
    (await run<{ user_id: string }>('find busy', FIND_BUSY, asked)).map(({ user_id: userId }) => userId),
  );
  const seats: Seat[] = [];
  for (const each of possible) {
    if (busy.has(each.wish.userId)) {
      refuse(each.wish, 'User has an overlapping booking');
      continue;
    }
    if (each.conference.available_slots > 0) each.conference.available_slots -= 1;
    else each.ticket = ++each.conference.waitlisted;
    seats.push(each);
  }
  if (seats.length === 0) return answers;
  const added = await run<{ booking_id: string }>('add bookings', ADD_BOOKINGS, [
    seats.map(({ conference }) => conference.conference_id),
    seats.map(({ wish }) => wish.userId),
    seats.map(({ conference }) => conference.during),
    seats.map(({ ticket }) => ticket),
  ]);
  await run('update conferences', UPDATE_CONFERENCES, [
    conferences.map((conference) => conference.conference_id),
    conferences.map((conference) => conference.available_slots),
    conferences.map((conference) => conference.waitlisted),
  ]);
  seats.forEach(({ wish, ticket }, index) => {
    const bookingId = Number(added[index]?.booking_id);
    const status = ticket === null ? 'CONFIRMED' : 'WAITLISTED';
    answers.push(() => wish.answer(201, { booking_id: bookingId, status, waitlist_position: ticket }));
  });
  return answers;
}

/** Whatever waits while one transaction runs is carried by the next one. */
export class Gatherer {
  private waiting: Wish[] = [];
  private isRunning = false;

  constructor(
    private readonly pool: Pool,
    private readonly most: number,
  ) {}

  add(wish: Wish): void {
    this.waiting.push(wish);
    if (!this.isRunning) void this.run();
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    // What came with the same packet comes along.
    await Promise.resolve();
    while (this.waiting.length > 0) await seat(this.pool, this.waiting.splice(0, this.most));
    this.isRunning = false;
  }
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Answer, type ApiClient, describeAnswer } from '../../../src/cli/api-client.js';
import type { Backstage } from '../../support/seating.js';
import { type Clock, type TimerPattern, TIMERS } from './clock.js';
import type { Expected, Model, ModelBooking, ModelConference, Span } from './model.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const UNKNOWN_BOOKING = 9_007_199_254_740_991;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** How long an offer stands where nobody moves its deadline: longer than any of these tests. */
export const WINDOW_MS = HOUR_MS;

const USERS = 6;
const CONFERENCES = 4;

/** When the conferences are, hours: one that is closer than the window, two that overlap, and one back to back with both. */
const TIMES: readonly [from: number, to: number][] = [
  [0.5, 0.75],
  [48, 51],
  [50, 52],
  [52, 53],
];

/** What one sequence is played on. Its users and conferences have names that no other sequence has. */
export class Stage {
  readonly now = Date.now();

  constructor(
    readonly api: ApiClient,
    readonly backstage: Backstage,
    readonly clock: Clock,
    private readonly sequence: string,
    readonly slots: readonly number[],
  ) {}

  user(index: number): string {
    return `${this.sequence}u${index}`;
  }

  conference(index: number): string {
    return `Model ${this.sequence} ${index}`;
  }

  /** Resolves when the service has looked at this conference. */
  async look({ name }: ModelConference, as: TimerPattern): Promise<void> {
    const [row] = await this.backstage.query<{ id: number }>(
      'SELECT conference_id AS id FROM conferences WHERE name = $1',
      [name],
    );
    if (row === undefined) throw new Error(`There is no conference ${name}`);
    await this.clock.look(row.id, as, this.backstage);
  }

  get topic(): string {
    return `topic ${this.sequence}`;
  }

  /** @returns the span of time in which `work` happened, whatever the fraction of a millisecond, and what came of it */
  async during<T>(work: () => Promise<T>): Promise<[T, Span]> {
    const from = Date.now() - 1;
    const value = await work();
    return [value, { from, to: Date.now() + 1 }];
  }
}

type Act = (stage: Stage, model: Model) => Promise<void>;

/** One step of a sequence: what is done to the service and to the model, and that both agree. */
export class Step implements fc.AsyncCommand<Model, Stage> {
  constructor(
    private readonly label: string,
    private readonly act: Act,
  ) {}

  check(): boolean {
    return true;
  }

  async run(model: Model, stage: Stage): Promise<void> {
    await this.act(stage, model);
  }

  toString(): string {
    return this.label;
  }
}

/** What the contract does not name may be there, too. */
function agree({ status, body }: Answer, expected: Expected): void {
  const wanted = 'body' in expected ? expected.body : { code: expected.code, ...messageOf(expected) };
  const known = Object.keys(wanted);
  const shown = Object.entries(body as object).filter(([field]) => known.includes(field));
  assert.deepEqual({ status, ...Object.fromEntries(shown) }, { status: expected.status, ...wanted });
}

function messageOf({ message }: { message?: string }): { message?: string } {
  return message === undefined ? {} : { message };
}

async function send(stage: Stage, path: string, body: object): Promise<[Answer, Span]> {
  return stage.during(() => stage.api.send('POST', path, body));
}

async function addUser(stage: Stage, model: Model, index: number): Promise<void> {
  const userId = stage.user(index);
  const [answer] = await send(stage, '/user', { user_id: userId, topics: [stage.topic] });
  agree(answer, model.addUser(userId));
}

async function addConference(stage: Stage, model: Model, index: number): Promise<void> {
  const [name, slots] = [stage.conference(index), stage.slots[index] ?? 1];
  const [startsAt, endsAt] = (TIMES[index] ?? [0, 0]).map((hours) => stage.now + hours * HOUR_MS) as [number, number];
  const [answer] = await send(stage, '/conference', {
    name,
    location: 'Hall',
    start: new Date(startsAt).toISOString(),
    end: new Date(endsAt).toISOString(),
    slots,
    topics: [stage.topic],
  });
  agree(answer, model.addConference(name, slots, startsAt, endsAt));
}

async function book(stage: Stage, model: Model, user: number, conference: number): Promise<void> {
  const [userId, name] = [stage.user(user), stage.conference(conference)];
  const [answer, at] = await send(stage, '/book', { user_id: userId, name });
  const { booking_id: id } = answer.body as { booking_id?: number };
  agree(answer, model.book(userId, name, id ?? 0, at));
  await seeConference(stage, model, model.conferences.get(name));
}

/** By its owner, or by another user. */
async function confirm(
  stage: Stage,
  model: Model,
  booking: ModelBooking | undefined,
  by: number | null,
): Promise<void> {
  const userId = by === null ? (booking?.userId ?? stage.user(0)) : stage.user(by);
  const [answer] = await send(stage, '/confirm', { booking_id: booking?.id ?? UNKNOWN_BOOKING, user_id: userId });
  agree(answer, model.confirm(booking, userId));
  await seeConference(stage, model, booking?.conference);
}

/** Naming nobody, or this user. */
async function cancel(stage: Stage, model: Model, booking: ModelBooking | undefined, by: number | null): Promise<void> {
  const userId = by === null ? null : stage.user(by);
  const [answer, at] = await send(stage, '/cancel', {
    booking_id: booking?.id ?? UNKNOWN_BOOKING,
    ...(userId === null ? {} : { user_id: userId }),
  });
  agree(answer, model.cancel(booking, userId, at));
  await seeConference(stage, model, booking?.conference);
}

/** The deadline of an open offer is moved to some seconds ago. */
async function passDeadline(
  stage: Stage,
  model: Model,
  booking: ModelBooking | undefined,
  secondsAgo: number,
): Promise<void> {
  if (booking === undefined) return;
  await andLook(stage, model, booking.conference, async () => {
    const [row] = await stage.backstage.query<{ confirmation_deadline: Date }>(
      `UPDATE bookings
       SET confirmation_deadline = date_trunc('second', clock_timestamp()) - make_interval(secs => $2)
       WHERE booking_id = $1 AND status = 'ConfirmationPending' RETURNING confirmation_deadline`,
      [booking.id, secondsAgo],
    );
    if (row === undefined) throw new Error(`Booking ${booking.id} has no open offer`);
    model.passDeadline(booking, row.confirmation_deadline.getTime());
  });
}

/** The times of a conference are moved to the past: to half an hour that no other has. */
async function passStart(stage: Stage, model: Model, index: number): Promise<void> {
  const conference = model.conferences.get(stage.conference(index));
  if (conference === undefined || conference.hasStarted) return;
  const startsAt = stage.now - (index + 1) * HOUR_MS;
  const endsAt = startsAt + HOUR_MS / 2;
  await andLook(stage, model, conference, async () => {
    await stage.backstage.query(
      `WITH started AS (
         UPDATE conferences SET starts_at = $2, ends_at = $3 WHERE name = $1 RETURNING *
       )
       UPDATE bookings b SET during = tstzrange(starts_at, ends_at),
         confirmation_deadline = CASE status WHEN 'ConfirmationPending' THEN least(confirmation_deadline, starts_at) END
       FROM started s WHERE b.conference_id = s.conference_id`,
      [conference.name, new Date(startsAt), new Date(endsAt)],
    );
    model.passStart(conference, startsAt, endsAt);
  });
}

/** Moves time; where somebody looks at once, whoever it concerns is dealt with now. */
async function andLook(
  stage: Stage,
  model: Model,
  conference: ModelConference,
  moveTime: () => Promise<void>,
): Promise<void> {
  const [, at] = await stage.during(async () => {
    await moveTime();
    if (stage.clock.isPrompt) await stage.look(conference, 'confirmation.expired');
  });
  if (stage.clock.isPrompt) model.look(conference, at);
  await seeConference(stage, model, conference);
}

/** A timer goes off: on time, late, for the second time, or where nothing is due. */
async function look(stage: Stage, model: Model, index: number, as: TimerPattern): Promise<void> {
  const conference = model.conferences.get(stage.conference(index));
  if (conference === undefined) return;
  const [, at] = await stage.during(() => stage.look(conference, as));
  if (as === 'confirmation.expired' || conference.hasStarted) model.look(conference, at);
  await seeConference(stage, model, conference);
}

async function get(stage: Stage, path: string): Promise<unknown> {
  const answer = await stage.api.send('GET', path);
  assert.equal(answer.status, 200, describeAnswer(answer));
  return answer.body;
}

/** An instant that the service gave, to be compared with what the model knows of it. */
function expectWithin(instant: unknown, span: Span | null): void {
  if (span === null) {
    assert.equal(instant, null);
    return;
  }
  assert.match(String(instant), INSTANT);
  const at = Date.parse(String(instant));
  const range = `${new Date(span.from).toISOString()} to ${new Date(span.to).toISOString()}`;
  assert.ok(at >= span.from && at <= span.to, `${String(instant)} is not within ${range}`);
}

function shown(booking: ModelBooking): object {
  const place = booking.conference.line.indexOf(booking);
  return {
    booking_id: booking.id,
    status: booking.status,
    can_confirm: booking.status === 'ConfirmationPending' && !booking.isOverdue,
    waitlist_position: place < 0 ? null : place + 1,
  };
}

/** The bookings of a conference, oldest first. */
async function seeConference(stage: Stage, model: Model, conference: ModelConference | undefined): Promise<void> {
  if (conference === undefined) return;
  const path = `/conference/${encodeURIComponent(conference.name)}/bookings`;
  const rows = (await get(stage, path)) as Record<string, unknown>[];
  const bookings = model.of(conference);
  const instants = ['created_at', 'canceled_at', 'confirmation_deadline'];
  assert.deepEqual(
    rows.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !instants.includes(key)))),
    bookings.map((booking) => ({ ...shown(booking), user_id: booking.userId })),
  );
  rows.forEach((row, index) => {
    expectWithin(row.created_at, bookings[index]?.createdAt ?? null);
    expectWithin(row.canceled_at, bookings[index]?.canceledAt ?? null);
    expectWithin(row.confirmation_deadline, bookings[index]?.deadline ?? null);
  });
}

function expectBooking(row: unknown, booking: ModelBooking): void {
  const { confirmation_deadline: deadline, ...rest } = row as Record<string, unknown>;
  assert.deepEqual(rest, { ...shown(booking), conference_name: booking.conference.name });
  expectWithin(deadline, booking.deadline);
}

async function seeBooking(stage: Stage, booking: ModelBooking | undefined): Promise<void> {
  if (booking === undefined) {
    const answer = await stage.api.send('GET', `/booking/${UNKNOWN_BOOKING}`);
    agree(answer, { status: 404, code: 'BOOKING_NOT_FOUND' });
  } else expectBooking(await get(stage, `/booking/${booking.id}`), booking);
}

async function seeUser(stage: Stage, model: Model, userId: string): Promise<void> {
  const path = `/user/${userId}/bookings`;
  if (!model.users.has(userId)) {
    agree(await stage.api.send('GET', path), { status: 404, code: 'USER_NOT_FOUND' });
    return;
  }
  const rows = (await get(stage, path)) as unknown[];
  const bookings = model.bookings.filter((booking) => booking.userId === userId);
  assert.equal(rows.length, bookings.length);
  bookings.forEach((booking, index) => expectBooking(rows[index], booking));
}

/** The conferences that have not started, soonest first, and what they say of their slots. */
async function seeConferences(stage: Stage, model: Model): Promise<void> {
  const upcoming = [...model.conferences.values()]
    .filter(({ hasStarted }) => !hasStarted)
    .sort((a, b) => a.startsAt - b.startsAt);
  assert.deepEqual(
    await get(stage, `/conferences?topic=${encodeURIComponent(stage.topic)}`),
    upcoming.map((conference) => ({
      name: conference.name,
      location: 'Hall',
      start: new Date(conference.startsAt).toISOString(),
      end: new Date(conference.endsAt).toISOString(),
      topics: [stage.topic],
      total_slots: conference.slots,
      available_slots: model.free(conference),
      held_slots: model.count(conference, 'ConfirmationPending'),
      waitlisted: model.count(conference, 'WAITLISTED'),
    })),
  );
}

/** Before the first step: most users and conferences are there. */
export async function open(stage: Stage, model: Model): Promise<void> {
  for (let index = 0; index < USERS - 1; index++) await addUser(stage, model, index);
  for (let index = 0; index < CONFERENCES - 1; index++) await addConference(stage, model, index);
}

/** After the last step: whatever is due is dealt with, and everything there is agrees. */
export async function close(stage: Stage, model: Model): Promise<void> {
  for (const [index, name] of Array.from({ length: CONFERENCES }, (_, i) => stage.conference(i)).entries()) {
    const isDue = model.bookings.some((booking) => booking.conference.name === name && booking.isOverdue);
    if (isDue || model.conferences.get(name)?.hasStarted === true)
      await look(stage, model, index, 'confirmation.expired');
  }
  for (let index = 0; index < USERS; index++) await seeUser(stage, model, stage.user(index));
  await seeConferences(stage, model);
  const statuses = await stage.backstage.query<{ booking_id: string; status: string }>(
    `SELECT booking_id, status FROM bookings JOIN conferences USING (conference_id)
     WHERE name = ANY($1) ORDER BY booking_id`,
    [[...model.conferences.keys()]],
  );
  assert.deepEqual(
    statuses.map(({ booking_id, status }) => [Number(booking_id), status]),
    model.bookings.map(({ id, status }) => [id, status]),
  );
  // Others are in the middle of their sequences, with time moved and nobody having looked.
  assert.deepEqual(await stage.backstage.brokenRules(DAY_MS / 1_000), []);
}

/** The `nth` of these, counted round and round. */
function pick<T>(among: readonly T[], nth: number): T | undefined {
  return among[nth % Math.max(1, among.length)];
}

const isOpenOffer = ({ status, isOverdue }: ModelBooking): boolean => status === 'ConfirmationPending' && !isOverdue;
const openOffer = ({ bookings }: Model, nth: number): ModelBooking | undefined =>
  pick(
    bookings.filter((booking) => isOpenOffer(booking) && !booking.conference.hasStarted),
    nth,
  );
const overdueOffer = ({ bookings }: Model, nth: number): ModelBooking | undefined =>
  pick(
    bookings.filter(({ isOverdue }) => isOverdue),
    nth,
  );
const active = ({ bookings }: Model, nth: number): ModelBooking | undefined =>
  pick(
    bookings.filter(({ status }) => status !== 'CANCELED'),
    nth,
  );
/** Somebody whose slot another one waits for. */
const envied = ({ bookings }: Model, nth: number): ModelBooking | undefined =>
  pick(
    bookings.filter(({ status, conference: { line } }) => status === 'CONFIRMED' && line.length > 0),
    nth,
  );
const any = ({ bookings }: Model, nth: number): ModelBooking | undefined => pick([...bookings, undefined], nth);

/** The `nth` of the users who have no active booking for this conference; anybody where there is none. */
function newcomer(stage: Stage, model: Model, conference: number, nth: number): number {
  const name = stage.conference(conference);
  const isThere = (u: number): boolean =>
    model.bookings.some((b) => b.userId === stage.user(u) && b.conference.name === name && b.status !== 'CANCELED');
  const users = Array.from({ length: USERS - 1 }, (_, u) => u);
  return (
    pick(
      users.filter((u) => !isThere(u)),
      nth,
    ) ?? 0
  );
}

const nth = fc.nat({ max: 59 });
const user = fc.nat({ max: USERS - 1 });
// The first, which starts within the window, and the second are the busy ones.
const conference = fc.constantFrom(1, 0, 1, 0, 1, 0, 1, 0, 2, 3);
const seconds = fc.integer({ min: 2, max: 4 });

/** All that may happen, each as often as its weight. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  kind(
    5,
    fc.tuple(user, conference),
    ([u, c]) => `user ${u} books conference ${c}`,
    (stage, model, [u, c]) => book(stage, model, u, c),
  ),
  kind(
    16,
    fc.tuple(nth, conference),
    ([n, c]) => `somebody who has no booking for conference ${c} books it (${n})`,
    (stage, model, [n, c]) => book(stage, model, newcomer(stage, model, c, n), c),
  ),
  kind(
    4,
    nth,
    (n) => `open offer ${n} is confirmed by its owner`,
    (stage, model, n) => confirm(stage, model, openOffer(model, n), null),
  ),
  kind(
    2,
    fc.tuple(nth, user),
    ([n, u]) => `open offer ${n} is confirmed by user ${u}`,
    (stage, model, [n, u]) => confirm(stage, model, openOffer(model, n), u),
  ),
  kind(
    2,
    nth,
    (n) => `overdue offer ${n} is confirmed by its owner`,
    (stage, model, n) => confirm(stage, model, overdueOffer(model, n), null),
  ),
  kind(
    2,
    nth,
    (n) => `booking ${n} is confirmed by its owner`,
    (stage, model, n) => confirm(stage, model, any(model, n), null),
  ),
  kind(
    8,
    nth,
    (n) => `confirmed booking ${n} that others wait for is canceled`,
    (stage, model, n) => cancel(stage, model, envied(model, n), null),
  ),
  kind(
    4,
    nth,
    (n) => `active booking ${n} is canceled`,
    (stage, model, n) => cancel(stage, model, active(model, n), null),
  ),
  kind(
    3,
    fc.tuple(nth, fc.option(user)),
    ([n, u]) => `booking ${n} is canceled, naming ${u === null ? 'nobody' : `user ${u}`}`,
    (stage, model, [n, u]) => cancel(stage, model, any(model, n), u),
  ),
  kind(
    6,
    fc.tuple(nth, seconds),
    ([n, s]) => `the deadline of open offer ${n} passed ${s} s ago`,
    (stage, model, [n, s]) => passDeadline(stage, model, openOffer(model, n), s),
  ),
  kind(
    2,
    conference,
    (c) => `conference ${c} starts`,
    (stage, model, c) => passStart(stage, model, c),
  ),
  kind(
    4,
    fc.tuple(conference, fc.constantFrom(...TIMERS)),
    ([c, as]) => `a timer ${as} for conference ${c}`,
    (stage, model, [c, as]) => look(stage, model, c, as),
  ),
  kind(
    2,
    nth,
    (n) => `booking ${n} is looked up`,
    (stage, model, n) => seeBooking(stage, any(model, n)),
  ),
  kind(
    1,
    user,
    (u) => `the bookings of user ${u} are listed`,
    (stage, model, u) => seeUser(stage, model, stage.user(u)),
  ),
  kind(1, fc.constant(null), () => 'the conferences are listed', seeConferences),
  kind(1, user, (u) => `user ${u} is added`, addUser),
  kind(1, conference, (c) => `conference ${c} is added`, addConference),
);

function kind<T>(
  weight: number,
  drawn: fc.Arbitrary<T>,
  label: (value: T) => string,
  act: (stage: Stage, model: Model, value: T) => Promise<void>,
): { weight: number; arbitrary: fc.Arbitrary<Step> } {
  return {
    weight,
    arbitrary: drawn.map((value) => new Step(label(value), (stage, model) => act(stage, model, value))),
  };
}

import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { type Answer, ApiClient, type BookResult } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';

const DAY = '2040-05-';
const TEXT = 'must be 1 to 255 ASCII letters, digits and single inner spaces';
const TIME =
  'must be a date and time that exists: YYYY-MM-DD HH:MM:SS in UTC, or ISO 8601 with Z or an offset (2027-03-01T09:00:00Z)';
const WHO = 'user_id must be 1 to 255 ASCII letters and digits';
const WHICH = 'booking_id must be a whole number from 1 to 9007199254740991';
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

const DENIED = { message: 'Access denied: booking belongs to different user', code: 'ACCESS_DENIED' };
const NO_BOOKING = { message: 'Booking not found: check its booking_id', code: 'BOOKING_NOT_FOUND' };
const NO_CONFERENCE = { message: 'Conference not found: check its name', code: 'CONFERENCE_NOT_FOUND' };
const NO_ROUTE = {
  message: 'Nothing is found at this path with this method: see /docs',
  code: 'ROUTE_NOT_FOUND',
};

describe('the contract over HTTP', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let service: Service;
  let api: ApiClient;
  let made = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    // Nothing expires behind the back of these tests: they move deadlines and starts themselves.
    service = await startService(
      { DATABASE_URL: database.url, ENABLE_QUEUE_CONSUMERS: 'false', LOG_LEVEL: 'warn' },
      { until: 'ready' },
    );
    api = new ApiClient(new URL(service.url));
  });

  afterAll(async () => {
    api.close();
    const exit = await service.stop();
    await backstage.close();
    await database.drop();
    // No mistake of a client is worth a line in the log.
    expect(service.output()).not.toMatch(/"level":[56]0/);
    expect(exit).toEqual({ code: 0, signal: null });
  });

  /** What every answer must be, whatever was asked. */
  function judge(answer: Answer): Answer {
    expect(answer.status).toBeLessThan(500);
    if (answer.status >= 400 && !answer.request.startsWith('HEAD')) {
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
      const { message, code } = answer.body as { message: unknown; code: unknown };
      expect(message).toMatch(/./);
      expect(code).toMatch(/^[A-Z][A-Z_]*$/);
    }
    return answer;
  }

  const send = async (method: string, path: string, body?: unknown): Promise<Answer> =>
    judge(await api.send(method, path, body));
  const sendRaw = async (path: string, body: string, contentType = 'application/json'): Promise<Answer> =>
    judge(await api.sendRaw('POST', path, { 'content-type': contentType }, body));
  const post = async (path: string, body: unknown): Promise<[number, unknown]> => {
    const answer = await send('POST', path, body);
    return [answer.status, answer.body];
  };
  const get = async (path: string): Promise<[number, unknown]> => {
    const answer = await send('GET', path);
    return [answer.status, answer.body];
  };
  const wrong = (field: string, message: string): [number, unknown] => [
    400,
    { message, code: 'VALIDATION_FAILED', field, errors: [{ field, message }] },
  ];

  async function newUser(): Promise<string> {
    const userId = `user${++made}`;
    expect(await post('/user', { user_id: userId, topics: ['all'] })).toEqual([
      201,
      { message: 'User added successfully' },
    ]);
    return userId;
  }

  /** Each on a day of its own in far years, unless told. */
  async function newConference({
    slots = 1,
    ...times
  }: { slots?: number; start?: string; end?: string } = {}): Promise<string> {
    const name = `Conference ${++made}`;
    const day = new Date(Date.UTC(2050, 0, made)).toISOString().slice(0, 10);
    const conference = { start: `${day} 09:00:00`, end: `${day} 17:00:00`, ...times };
    const [status] = await post('/conference', { name, location: 'Hall', slots, topics: ['all'], ...conference });
    expect(status).toBe(201);
    return name;
  }

  async function book(userId: string, name: string): Promise<number> {
    const [status, body] = await post('/book', { user_id: userId, name });
    expect(status).toBe(201);
    return (body as BookResult).booking_id;
  }

  /** A conference of one slot that is held for `owner`, and who waits behind. */
  async function openOffer(): Promise<{
    name: string;
    owner: string;
    bookingId: number;
    first: number;
    behind: number;
  }> {
    const name = await newConference();
    const owner = await newUser();
    const first = await book(await newUser(), name);
    const bookingId = await book(owner, name);
    const behind = await book(await newUser(), name);
    expect(await post('/cancel', { booking_id: first })).toEqual([200, { message: 'Booking canceled successfully' }]);
    return { name, owner, bookingId, first, behind };
  }

  describe('POST /user', () => {
    const topics = ['databases', 'type systems'];

    it('adds a user, once', async () => {
      expect(await post('/user', { user_id: 'ada1', topics })).toEqual([201, { message: 'User added successfully' }]);
      expect(await post('/user', { user_id: 'ada1', topics })).toEqual([
        400,
        { message: 'User already exists', code: 'USER_EXISTS' },
      ]);
      expect(await post('/user', { user_id: 'ADA1', topics })).toEqual([201, { message: 'User added successfully' }]);
    });

    it('takes the longest and the shortest', async () => {
      const longest = {
        user_id: 'u'.repeat(255),
        topics: Array.from({ length: 50 }, (_, n) => `${n} ${'t'.repeat(252)}`),
      };
      expect(await post('/user', longest)).toEqual([201, { message: 'User added successfully' }]);
      expect(await post('/user', { user_id: '7', topics: ['C'] })).toEqual([
        201,
        { message: 'User added successfully' },
      ]);
      expect(await get(`/user/${longest.user_id}/bookings`)).toEqual([200, []]);
    });

    it.each([
      [''],
      ['u'.repeat(256)],
      ['a b'],
      ['a-b'],
      ['a\n'],
      ['ada\0'],
      ['\0'],
      ['Zoë'],
      ['１２'],
      ['\ud800'],
      [17],
      [null],
      [undefined],
      [true],
      [['ada']],
      [{ id: 'ada' }],
    ])('refuses the user_id %j', async (userId) => {
      expect(await post('/user', { user_id: userId, topics })).toEqual(wrong('user_id', WHO));
    });

    it.each([
      [undefined, 'topics must be a list of 1 to 50 different topics'],
      [null, 'topics must be a list of 1 to 50 different topics'],
      ['databases', 'topics must be a list of 1 to 50 different topics'],
      [{ 0: 'databases', length: 1 }, 'topics must be a list of 1 to 50 different topics'],
      [[], 'topics must be a list of 1 to 50 different topics'],
      [Array.from({ length: 51 }, (_, n) => `t${n}`), 'topics must be a list of 1 to 50 different topics'],
      [['a', 'b', 'a'], 'topics must be different from each other'],
      ...['', ' a', 'a ', 'a  b', 'a\tb', 'a\0', 'é', 't'.repeat(256), 5, null, ['a'], {}].map((topic) => [
        ['fine', topic],
        `each of topics ${TEXT}`,
      ]),
    ] as [unknown, string][])('refuses the topics %j', async (wrongTopics, message) => {
      expect(await post('/user', { user_id: 'nobody', topics: wrongTopics })).toEqual(wrong('topics', message));
    });

    it('names every field that is wrong', async () => {
      const errors = [
        { field: 'user_id', message: WHO },
        { field: 'topics', message: 'topics must be a list of 1 to 50 different topics' },
      ];
      expect(await post('/user', {})).toEqual([
        400,
        {
          message: errors.map(({ message }) => message).join('; '),
          code: 'VALIDATION_FAILED',
          field: 'user_id',
          errors,
        },
      ]);
      expect(await get('/user/nobody/bookings')).toEqual([
        404,
        { message: 'User not found: check the user_id', code: 'USER_NOT_FOUND' },
      ]);
    });
  });

  describe('POST /conference', () => {
    const valid = {
      name: 'Systems Day',
      location: 'Hall 5',
      start: `${DAY}01 09:00:00`,
      end: `${DAY}01 17:00:00`,
      slots: 5,
      topics: ['type systems', 'databases'],
    };

    it('adds a conference, once', async () => {
      const shown = {
        name: 'Systems Day',
        location: 'Hall 5',
        start: `${DAY}01T09:00:00.000Z`,
        end: `${DAY}01T17:00:00.000Z`,
        topics: ['databases', 'type systems'],
        total_slots: 5,
        available_slots: 5,
        held_slots: 0,
        waitlisted: 0,
      };
      expect(await post('/conference', valid)).toEqual([201, { message: 'conference added successfully', ...shown }]);
      expect(await get('/conference/Systems%20Day')).toEqual([200, shown]);
      expect(await get('/conference/Systems%20Day/bookings')).toEqual([200, []]);
      expect(await post('/conference', valid)).toEqual([
        400,
        { message: 'conference already exists', code: 'CONFERENCE_EXISTS' },
      ]);
    });

    it.each([
      ['in plain UTC', `${DAY}02 09:00:00`, `${DAY}02 21:00:00`],
      ['with Z', `${DAY}02T09:00:00Z`, `${DAY}02T21:00:00.000Z`],
      ['with offsets', `${DAY}02T11:00:00+02:00`, `${DAY}02T13:00-08:00`],
      ['in both ways', `${DAY}02 09:00:00`, `${DAY}03T02:30:00+05:30`],
    ])('reads times %s, 12 hours at most', async (how, start, end) => {
      const name = `Timed ${how.replaceAll(/\W/g, '')}`;
      expect(await post('/conference', { ...valid, name, start, end })).toMatchObject([
        201,
        { start: `${DAY}02T09:00:00.000Z`, end: `${DAY}02T21:00:00.000Z` },
      ]);
    });

    it('takes the leap day, a millisecond, a million slots and names of 255 characters', async () => {
      const longest = {
        name: `L ${'n'.repeat(253)}`,
        location: 'l'.repeat(255),
        start: '2040-02-29T23:59:59.999Z',
        end: '2040-03-01 00:00:00',
        slots: 1_000_000,
        topics: Array.from({ length: 10 }, (_, n) => `${n}${'t'.repeat(254)}`),
      };
      expect(await post('/conference', longest)).toMatchObject([201, { end: '2040-03-01T00:00:00.000Z' }]);
      const path = `/conference/${encodeURIComponent(longest.name)}`;
      expect(await get(path)).toMatchObject([200, { location: longest.location, start: longest.start }]);
      expect(await get(`${path}/bookings`)).toEqual([200, []]);
      // Every character may be percent-encoded.
      const encoded = Array.from(longest.name, (letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');
      expect(await get(`/conference/${encoded}`)).toMatchObject([200, { name: longest.name }]);
      expect(await get(`/conferences?limit=1&after=${encoded}`)).toMatchObject([200, [{}]]);
      expect(await get(`${path}n`)).toEqual([404, NO_CONFERENCE]);
    });

    it.each(['start', 'end'])('refuses a %s that is no time', async (field) => {
      for (const time of [
        '2040-02-30 09:00:00',
        '2040-02-30T09:00:00Z',
        '2041-02-29 09:00:00',
        '2040-04-31 09:00:00',
        '2040-13-01 09:00:00',
        '2040-05-01 24:00:00',
        '2040-05-01 09:60:00',
        '2040-05-01 09:00:60',
        '2040-05-01 09:00',
        '2040-05-01T09:00:00',
        '2040-05-01T09:00:00+24:00',
        '2040-05-01',
        '40-05-01 09:00:00',
        '+012040-05-01T09:00:00Z',
        ' 2040-05-01 09:00:00',
        '2040-05-01 09:00:00\n',
        '2040-05-01 09:00:00\0',
        '２０４０-05-01 09:00:00',
        'tomorrow',
        '',
        2_220_000_000_000,
        null,
        undefined,
        [],
        {},
      ]) {
        expect(await post('/conference', { ...valid, name: 'Wrong', [field]: time })).toEqual(
          wrong(field, `${field} ${TIME}`),
        );
      }
    });

    it.each([
      ['end', { end: valid.start }, 'end must be after start'],
      ['end', { end: `${DAY}01 08:59:59` }, 'end must be after start'],
      ['end', { end: `${DAY}01 21:00:01` }, 'end must be at most 12 hours after start'],
      ['start', { start: '2020-01-01 09:00:00', end: '2020-01-01 10:00:00' }, 'start must be in the future'],
      ...[0, -1, 1.5, 1_000_001, 1e30, '5', null, undefined, true, [5], {}].map((slots) => [
        'slots',
        { slots },
        'slots must be a whole number from 1 to 1000000',
      ]),
      ...['name', 'location'].flatMap((field) =>
        ['', ' a', 'a ', 'a  b', 'a-b', 'a\0', 'Zoë', '\ud800', 'n'.repeat(256), 5, null, undefined, ['a'], {}].map(
          (value) => [field, { [field]: value }, `${field} ${TEXT}`],
        ),
      ),
      ...[undefined, null, 'a', [], Array.from({ length: 11 }, (_, n) => `t${n}`)].map((topics) => [
        'topics',
        { topics },
        'topics must be a list of 1 to 10 different topics',
      ]),
      ['topics', { topics: ['a', 'a'] }, 'topics must be different from each other'],
      ['topics', { topics: ['a', 'ä\0'] }, `each of topics ${TEXT}`],
    ] as [string, object, string][])('refuses by %s: %j', async (field, change, message) => {
      expect(await post('/conference', { ...valid, name: 'Wrong', ...change })).toEqual(wrong(field, message));
    });
  });

  describe('POST /book', () => {
    it('confirms while a slot is free, and then puts in line', async () => {
      const name = await newConference({ slots: 2 });
      for (const expected of [
        { status: 'CONFIRMED', message: 'Booking confirmed successfully', waitlist_position: null },
        { status: 'CONFIRMED', message: 'Booking confirmed successfully', waitlist_position: null },
        { status: 'WAITLISTED', message: 'Added to waitlist', waitlist_position: 1 },
        { status: 'WAITLISTED', message: 'Added to waitlist', waitlist_position: 2 },
      ]) {
        expect(await post('/book', { user_id: await newUser(), name })).toEqual([
          201,
          { booking_id: expect.any(Number) as number, ...expected },
        ]);
      }
      expect(await get(`/conference/${encodeURIComponent(name)}`)).toMatchObject([
        200,
        { total_slots: 2, available_slots: 0, held_slots: 0, waitlisted: 2 },
      ]);
    });

    it('judges the shape, then whether it exists, then the state', async () => {
      const user = await newUser();
      const name = await newConference();
      const badName = 'name must be the name of a conference: 1 to 255 ASCII letters, digits and single inner spaces';
      for (const wrongName of ['', ' a', 'a\0', 'ä', 'n'.repeat(256), 5, null, undefined, [name], { name }]) {
        expect(await post('/book', { user_id: 'nobody', name: wrongName })).toEqual(wrong('name', badName));
      }
      for (const wrongUser of ['', 'a b', 'a\0', 'ä', 'u'.repeat(256), 5, null, undefined, [user], { user }]) {
        expect(await post('/book', { user_id: wrongUser, name: 'No such thing' })).toEqual(wrong('user_id', WHO));
      }
      expect(await post('/book', { user_id: 'nobody', name: 'No such thing' })).toEqual([
        400,
        { message: 'User not found: register the user first', code: 'USER_NOT_FOUND' },
      ]);
      expect(await post('/book', { user_id: user, name: 'No such thing' })).toEqual([400, NO_CONFERENCE]);
      expect(await post('/book', { user_id: user, name: name.toLowerCase() })).toEqual([400, NO_CONFERENCE]);
      await book(user, name);
      await backstage.passStart(name);
      expect(await post('/book', { user_id: user, name })).toEqual([
        400,
        { message: 'The conference has started: it takes no more bookings', code: 'CONFERENCE_STARTED' },
      ]);
    });

    it('gives one place at a time: an active booking for the same conference is named before an overlap', async () => {
      const at = (from: string, to: string): Promise<string> =>
        newConference({ start: `2045-01-01 ${from}`, end: `2045-01-01 ${to}` });
      const name = await at('09:00:00', '17:00:00');
      const user = await newUser();
      const bookingId = await book(user, name);
      const already = {
        message: 'User already has an active booking for this conference: cancel it first',
        code: 'ALREADY_BOOKED',
      };
      const overlapping = {
        message: 'User has an active booking that overlaps this conference in time: cancel it first',
        code: 'OVERLAPPING_BOOKING',
      };
      const late = await at('16:59:59', '18:00:00');
      expect(await post('/book', { user_id: user, name })).toEqual([400, already]);
      expect(await post('/book', { user_id: user, name: late })).toEqual([400, overlapping]);
      expect(await post('/book', { user_id: user, name: await at('08:00:00', '09:00:01') })).toEqual([
        400,
        overlapping,
      ]);
      expect(await post('/book', { user_id: user, name: await at('10:00:00', '11:00:00') })).toEqual([
        400,
        overlapping,
      ]);
      // Back to back is no overlap; nor is what was canceled.
      await book(user, await at('08:00:00', '09:00:00'));
      const after = await book(user, await at('17:00:00', '18:00:00'));
      await post('/cancel', { booking_id: bookingId });
      expect(await post('/book', { user_id: user, name: late })).toEqual([400, overlapping]);
      await post('/cancel', { booking_id: after });
      await book(user, late);
    });
  });

  describe('bookings, looked up', () => {
    it('are shown one by one, by conference and by user', async () => {
      const { name, owner, bookingId, first, behind } = await openOffer();
      const none = { can_confirm: false, confirmation_deadline: null, waitlist_position: null };
      const deadline = expect.stringMatching(INSTANT) as string;
      const offer = { can_confirm: true, confirmation_deadline: deadline, waitlist_position: null };
      const offered = { booking_id: bookingId, status: 'ConfirmationPending', conference_name: name, ...offer };
      expect(await get(`/booking/${first}`)).toEqual([
        200,
        { booking_id: first, status: 'CANCELED', conference_name: name, ...none },
      ]);
      expect(await get(`/booking/${bookingId}`)).toEqual([200, offered]);
      expect(await get(`/user/${owner}/bookings`)).toEqual([200, [offered]]);
      expect(await get(`/booking/${behind}`)).toEqual([
        200,
        { booking_id: behind, status: 'WAITLISTED', conference_name: name, ...none, waitlist_position: 1 },
      ]);
      const who = { user_id: expect.stringMatching(/^user\d+$/) as string, created_at: deadline };
      expect(await get(`/conference/${encodeURIComponent(name)}/bookings`)).toEqual([
        200,
        [
          { booking_id: first, status: 'CANCELED', ...who, ...none, canceled_at: deadline },
          { booking_id: bookingId, status: 'ConfirmationPending', ...who, user_id: owner, ...offer, canceled_at: null },
          { booking_id: behind, status: 'WAITLISTED', ...who, ...none, waitlist_position: 1, canceled_at: null },
        ],
      ]);
      expect(await get(`/conference/${encodeURIComponent(name)}`)).toMatchObject([
        200,
        { total_slots: 1, available_slots: 0, held_slots: 1, waitlisted: 1 },
      ]);
    });

    it('tell what has happened to them, and why', async () => {
      const { owner, bookingId, first } = await openOffer();
      expect((await post('/confirm', { booking_id: bookingId, user_id: owner }))[0]).toBe(200);
      const at = expect.stringMatching(INSTANT) as string;
      const step = (
        from_status: string | null,
        to_status: string,
        reason: string,
        message: unknown,
        cause_booking_id: number | null = null,
      ): object => ({ at, from_status, to_status, reason, cause_booking_id, organizer_id: null, message });
      expect(await get(`/booking/${first}/history`)).toEqual([
        200,
        [
          step(null, 'CONFIRMED', 'booked', 'confirmed: a slot was free'),
          step('CONFIRMED', 'CANCELED', 'canceled', 'canceled: as was asked for'),
        ],
      ]);
      const [status, steps] = await get(`/booking/${bookingId}/history`);
      const offeredAt = (steps as { at: string }[])[1]?.at.slice(11, 19);
      expect([status, steps]).toEqual([
        200,
        [
          step(null, 'WAITLISTED', 'joined_waitlist', 'to the end of the line: no slot was free'),
          step(
            'WAITLISTED',
            'ConfirmationPending',
            'offered',
            `offered: a slot became free when booking ${first} was canceled`,
            first,
          ),
          step('ConfirmationPending', 'CONFIRMED', 'confirmed', `confirmed: the offer of ${offeredAt} was taken`),
        ],
      ]);
      expect(await get('/booking/999999999/history')).toEqual([404, NO_BOOKING]);
      expect((await get('/booking/abc/history'))[0]).toBe(400);
    });

    it('are each shown to whoever asks, however many ask at once', async () => {
      const name = await newConference({ slots: 300 });
      const ids: number[] = [];
      for (let count = 0; count < 20; count++) ids.push(await book(await newUser(), name));
      const asked = Array.from({ length: 300 }, (_, index) =>
        index % 7 === 3 ? 900_000_000 + index : ids[index % 20],
      );
      const answers = await Promise.all(asked.map((id) => get(`/booking/${id}`)));
      expect(answers.map(([status, body]) => (status === 200 ? (body as BookResult).booking_id : body))).toEqual(
        asked.map((id, index) => (index % 7 === 3 ? NO_BOOKING : id)),
      );
    });

    it('have an offer for the window, and no longer', async () => {
      const { bookingId } = await openOffer();
      const [{ window }] = (await backstage.query(
        `SELECT extract(epoch FROM confirmation_deadline - at)::float8 AS window FROM bookings
         JOIN booking_transitions USING (booking_id) WHERE reason = 'offered' AND booking_id = $1`,
        [bookingId],
      )) as [{ window: number }];
      expect(window).toBeCloseTo(10, 2);
      await backstage.passDeadline(bookingId);
      expect(await get(`/booking/${bookingId}`)).toMatchObject([
        200,
        { status: 'ConfirmationPending', can_confirm: false },
      ]);
    });

    it.each(['0', '-1', '9007199254740992', `1${'0'.repeat(30)}`, '999999999'])('are not found: %s', async (id) => {
      expect(await get(`/booking/${id}`)).toEqual([404, NO_BOOKING]);
    });

    it.each(['1.5', '1e3', 'abc', '0x10', '%201', '1%00', '%D9%A1', 'NaN', 'null', '--1'])(
      'have no such number: %s',
      async (id) => {
        expect(await get(`/booking/${id}`)).toEqual([
          400,
          { message: 'booking_id must be a whole number', code: 'VALIDATION_FAILED', field: 'booking_id' },
        ]);
      },
    );
  });

  describe('POST /confirm', () => {
    it('takes the offer, once', async () => {
      const { owner, bookingId } = await openOffer();
      expect(await post('/confirm', { booking_id: bookingId, user_id: owner })).toEqual([
        200,
        { message: 'Booking confirmed successfully' },
      ]);
      expect(await get(`/booking/${bookingId}`)).toMatchObject([
        200,
        { status: 'CONFIRMED', can_confirm: false, confirmation_deadline: null, waitlist_position: null },
      ]);
      expect(await post('/confirm', { booking_id: bookingId, user_id: owner })).toMatchObject([
        400,
        { code: 'NOT_CONFIRMATION_PENDING' },
      ]);
    });

    it('judges the shape, then whether it exists, who owns it, and its state', async () => {
      const { owner, bookingId, first, behind } = await openOffer();
      for (const id of [0, -1, 1.5, '1', 2 ** 53, 1e30, null, undefined, true, [1], {}]) {
        expect(await post('/confirm', { booking_id: id, user_id: owner })).toEqual(wrong('booking_id', WHICH));
      }
      for (const user of ['', 'a b', 'a\0', 'ä', 'u'.repeat(256), 5, null, undefined, [owner], {}]) {
        expect(await post('/confirm', { booking_id: 999_999_999, user_id: user })).toEqual(wrong('user_id', WHO));
      }
      for (const id of [999_999_999, 2 ** 53 - 1]) {
        expect(await post('/confirm', { booking_id: id, user_id: owner })).toEqual([404, NO_BOOKING]);
      }
      for (const id of [first, behind]) {
        expect(await post('/confirm', { booking_id: id, user_id: owner })).toEqual([400, DENIED]);
      }
      expect(await post('/confirm', { booking_id: bookingId, user_id: 'nobody' })).toEqual([400, DENIED]);
    });

    it('refuses what is not offered, offered no longer, or started', async () => {
      const { name, owner, bookingId } = await openOffer();
      const waiting = await newUser();
      expect(await post('/confirm', { booking_id: await book(waiting, name), user_id: waiting })).toEqual([
        400,
        {
          message: 'Booking has no open offer: only a ConfirmationPending booking can be confirmed',
          code: 'NOT_CONFIRMATION_PENDING',
        },
      ]);
      const offer = { booking_id: bookingId, user_id: owner };
      await backstage.passDeadline(bookingId);
      expect(await post('/confirm', offer)).toEqual([
        400,
        { message: 'The confirmation deadline has passed: wait for the next offer', code: 'DEADLINE_PASSED' },
      ]);
      await backstage.passStart(name);
      expect(await post('/confirm', offer)).toEqual([
        400,
        { message: 'The conference has started: its offers can no longer be confirmed', code: 'CONFERENCE_STARTED' },
      ]);
    });
  });

  describe('POST /cancel', () => {
    it('cancels any active booking, once, and offers its slot to the next', async () => {
      const { name, owner, bookingId, behind } = await openOffer();
      const done = [200, { message: 'Booking canceled successfully' }];
      expect(await post('/cancel', { booking_id: bookingId, user_id: owner })).toEqual(done);
      expect(await get(`/booking/${behind}`)).toMatchObject([
        200,
        { status: 'ConfirmationPending', can_confirm: true },
      ]);
      const waiting = await book(await newUser(), name);
      expect(await post('/cancel', { booking_id: waiting })).toEqual(done);
      expect(await post('/cancel', { booking_id: waiting })).toEqual([
        400,
        { message: 'Booking is already canceled', code: 'ALREADY_CANCELED' },
      ]);
    });

    it('judges the shape, then whether it exists, who owns it, and its state', async () => {
      const { owner, first } = await openOffer();
      for (const id of [0, -1, 1.5, '1', 2 ** 53, 1e30, null, undefined, true, [1], {}]) {
        expect(await post('/cancel', { booking_id: id })).toEqual(wrong('booking_id', WHICH));
      }
      for (const user of ['', 'a b', 'a\0', 'ä', 'u'.repeat(256), 5, null, [owner], {}]) {
        expect(await post('/cancel', { booking_id: 999_999_999, user_id: user })).toEqual(wrong('user_id', WHO));
      }
      expect(await post('/cancel', { booking_id: 999_999_999, user_id: owner })).toEqual([404, NO_BOOKING]);
      expect(await post('/cancel', { booking_id: first, user_id: owner })).toEqual([400, DENIED]);
      expect(await post('/cancel', { booking_id: first })).toMatchObject([400, { code: 'ALREADY_CANCELED' }]);
    });

    it('still cancels a confirmed booking after the start, and offers nothing then', async () => {
      const name = await newConference();
      const confirmed = await book(await newUser(), name);
      const waiting = await book(await newUser(), name);
      await backstage.passStart(name);
      expect(await post('/cancel', { booking_id: confirmed })).toEqual([
        200,
        { message: 'Booking canceled successfully' },
      ]);
      expect(await get(`/booking/${waiting}`)).toMatchObject([
        200,
        { can_confirm: false, confirmation_deadline: null },
      ]);
    });
  });

  describe('GET /conferences', () => {
    const names = ['Page b', 'Page a', 'Page c', 'Page e', 'Page d'];
    const starts = ['09', '10', '10', '11', '12'];
    const inOrder = ['Page b', 'Page a', 'Page c', 'Page e', 'Page d'];

    beforeAll(async () => {
      for (const [index, name] of names.entries()) {
        const [start, end] = [`2042-01-01 ${starts[index] ?? ''}:00:00`, '2042-01-01 13:00:00'];
        const topics = index < 4 ? ['paged', 'four of five'] : ['paged'];
        expect(await post('/conference', { name, location: 'Hall', start, end, slots: 3, topics })).toMatchObject([
          201,
          {},
        ]);
      }
    });

    const namesOf = ({ body }: Answer): string[] => (body as { name: string }[]).map(({ name }) => name);

    /** Goes from page to page by the Link header. */
    async function pagesFrom(path: string): Promise<string[][]> {
      const pages: string[][] = [];
      for (let next: string | undefined = path; next !== undefined;) {
        const answer = await send('GET', next);
        expect(answer.status).toBe(200);
        pages.push(namesOf(answer));
        next = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers.link ?? ''))?.[1];
      }
      return pages;
    }

    it('lists in pages, soonest first, of one topic', async () => {
      expect(await pagesFrom('/conferences?topic=paged&limit=2')).toEqual([
        ['Page b', 'Page a'],
        ['Page c', 'Page e'],
        ['Page d'],
      ]);
      expect(await pagesFrom('/conferences?topic=four+of+five&limit=4')).toEqual([inOrder.slice(0, 4)]);
      expect(await pagesFrom('/conferences?topic=four%20of%20five&limit=3')).toEqual([inOrder.slice(0, 3), ['Page e']]);
      expect(namesOf(await send('GET', '/conferences?topic=paged&after=Page%20a'))).toEqual(inOrder.slice(2));
      expect(await get('/conferences?topic=nothing')).toEqual([200, []]);
    });

    it('shows each as GET /conference does', async () => {
      const [first] = (await get('/conferences?topic=paged&limit=1'))[1] as object[];
      expect(first).toEqual({
        name: 'Page b',
        location: 'Hall',
        start: '2042-01-01T09:00:00.000Z',
        end: '2042-01-01T13:00:00.000Z',
        topics: ['four of five', 'paged'],
        total_slots: 3,
        available_slots: 3,
        held_slots: 0,
        waitlisted: 0,
      });
      expect(await get('/conference/Page%20b')).toEqual([200, first]);
    });

    it('leaves out what has started, and still pages after it', async () => {
      const name = await newConference();
      await backstage.passStart(name);
      expect((await pagesFrom('/conferences?limit=100')).flat()).not.toContain(name);
      const after = namesOf(await send('GET', `/conferences?topic=paged&after=${encodeURIComponent(name)}`));
      expect(after).toEqual(inOrder);
      expect(await get(`/conference/${encodeURIComponent(name)}`)).toMatchObject([200, { name }]);
    });

    it.each([
      ...['0', '101', '-1', '1.5', '1e1', 'ten', '', '%00', '9999999999', '1&limit=2'].map((limit) => [
        `limit=${limit}`,
        'limit',
        'limit must be a whole number from 1 to 100',
      ]),
      ...['', 'a&topic=b', '%00', 'Zo%C3%AB', '%20a', 't'.repeat(256)].map((topic) => [
        `topic=${topic}`,
        'topic',
        `topic ${TEXT}`,
      ]),
      ...['', 'a&after=b', '%00', 'Zo%C3%AB'].map((after) => [
        `after=${after}`,
        'after',
        'after must be the name of a conference',
      ]),
      ['page=2', 'page', 'page is not a field of this request: remove it'],
      ['topic[]=a', 'topic[]', 'topic[] is not a field of this request: remove it'],
      ['toString=a', 'toString', 'toString is not a field of this request: remove it'],
      ['prototype=a', 'prototype', 'prototype is not a field of this request: remove it'],
      ['constructor=a&topic=b', 'constructor', 'constructor is not a field of this request: remove it'],
    ] as [string, string, string][])('refuses ?%s', async (query, field, message) => {
      expect(await get(`/conferences?${query}`)).toEqual(wrong(field, message));
    });

    it('refuses a page after what does not exist', async () => {
      expect(await get('/conferences?after=No+such+thing')).toEqual([
        400,
        {
          message: 'after must be the name of a conference that exists',
          code: 'CONFERENCE_NOT_FOUND',
          field: 'after',
        },
      ]);
    });
  });

  describe('anything else', () => {
    const routes = ['/user', '/conference', '/book', '/confirm', '/cancel'];

    it.each(routes)('is refused by POST %s: what is no JSON object', async (route) => {
      const message = 'The body must be a JSON object';
      for (const body of ['null', '[]', '[{}]', '"text"', '5', 'true']) {
        expect((await sendRaw(route, body)).body).toEqual({ message, code: 'VALIDATION_FAILED' });
      }
      for (const body of [
        '{',
        '{"user_id": "ada1",}',
        "{'user_id': 1}",
        'user_id=ada1',
        '\0',
        '{"a":1}{',
        'undefined',
      ]) {
        const answer = await sendRaw(route, body);
        expect([answer.status, answer.body]).toEqual([
          400,
          { message: 'The body is not valid JSON: correct its syntax', code: 'MALFORMED_JSON' },
        ]);
      }
      expect((await sendRaw(route, '')).body).toEqual({
        message: 'The body is empty: send a JSON object',
        code: 'MALFORMED_JSON',
      });
      const nothing = judge(await api.sendRaw('POST', route));
      expect(nothing.status).toBe(400);
    });

    it.each(routes)('is refused by POST %s: prototypes', async (route) => {
      for (const body of ['{"__proto__": {"slots": 1}}', '{"constructor": {"prototype": {"slots": 1}}}']) {
        expect((await sendRaw(route, body)).status).toBe(400);
      }
    });

    it.each(routes)('is refused by POST %s: a field it does not know', async (route) => {
      for (const field of ['status', 'toString', 'hasOwnProperty', 'prototype', '', 'a\0', 'é']) {
        const answer = await send('POST', route, { [field]: 1 });
        expect(answer.status).toBe(400);
        expect((answer.body as { errors: unknown[] }).errors).toContainEqual({
          field,
          message: `${field} is not a field of this request: remove it`,
        });
      }
    });

    it.each([
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/xml',
      'x',
    ])('is refused as 415: %s', async (contentType) => {
      const answer = await sendRaw('/book', '{"user_id": "ada1", "name": "Systems Day"}', contentType);
      expect([answer.status, answer.body]).toEqual([
        415,
        {
          message: 'The body must be JSON: send it with Content-Type: application/json',
          code: 'UNSUPPORTED_MEDIA_TYPE',
        },
      ]);
    });

    it('is taken: JSON with a charset', async () => {
      const body = JSON.stringify({ user_id: `user${++made}`, topics: ['all'] });
      expect((await sendRaw('/user', body, 'application/json; charset=utf-8')).status).toBe(201);
    });

    it('is refused as 413: a body above 64 KiB', async () => {
      const answer = await send('POST', '/book', { user_id: 'ada1', name: 'n'.repeat(66_000) });
      expect([answer.status, answer.body]).toEqual([
        413,
        { message: 'The body is too large: send at most 64 KiB', code: 'BODY_TOO_LARGE' },
      ]);
    });

    it.each([
      ['GET', '/'],
      ['GET', '/book'],
      ['GET', '/booking'],
      ['GET', '/conference'],
      ['GET', '/conferences/'],
      ['GET', '/Conferences'],
      ['GET', '/user/ada1'],
      ['GET', '/../etc/passwd'],
      ['GET', '/booking/1/2'],
      ['POST', '/conferences'],
      ['POST', '/booking/1'],
      ['PUT', '/book'],
      ['PATCH', '/user'],
      ['DELETE', '/booking/1'],
      ['OPTIONS', '/book'],
      ['OPTIONS', '*'],
      ['PROPFIND', '/conferences'],
    ])('is not found: %s %s', async (method, path) => {
      const answer = await send(method, path);
      expect([answer.status, answer.body]).toEqual([404, NO_ROUTE]);
    });

    it.each([
      ['POST', '/nothing', 'text/plain', 'x'],
      ['POST', '/conferences', 'application/json', '{'],
      ['PUT', '/book', 'application/json', 'n'.repeat(66_000)],
    ])('is not found whatever its body is: %s %s', async (method, path, type, body) => {
      const answer = judge(await api.sendRaw(method, path, { 'content-type': type }, body));
      expect([answer.status, answer.body]).toEqual([404, NO_ROUTE]);
    });

    it.each(['/conference/%E0%A4%A', '/conference/%', '/booking/%zz', '/user/%C3%28/bookings', '/%'])(
      'is refused: GET %s, which is encoded badly',
      async (path) => {
        expect((await send('GET', path)).status).toBeGreaterThanOrEqual(400);
      },
    );

    it.each(['%00', '%0A', 'Zo%C3%AB', '..%2F..%2Fetc', "'%3B--", 'n'.repeat(256), 'n'.repeat(4_000)])(
      'is not found: a conference or user called %s',
      async (name) => {
        for (const path of [`/conference/${name}`, `/conference/${name}/bookings`, `/user/${name}/bookings`]) {
          expect((await send('GET', path)).status).toBe(404);
        }
      },
    );

    it('is answered to HEAD as to GET, without a body', async () => {
      for (const path of ['/conferences', '/conference/Systems%20Day', '/health/live']) {
        const answer = await send('HEAD', path);
        expect(answer).toMatchObject({ status: 200, body: null });
        expect(answer.headers['content-type']).toMatch(/^application\/json/);
      }
      expect(await send('HEAD', '/conference/None')).toMatchObject({ status: 404, body: null });
    });

    it.each([
      ['no HTTP', 'nonsense\r\n\r\n'],
      ['a length that is none', 'POST /book HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n'],
      ['headers without end', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
      [
        'bytes that are no UTF-8',
        'POST /book HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"\xff"',
      ],
    ])('is refused with 400: %s', async (_what, bytes) => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.end(Buffer.from(bytes, 'latin1'));
      const answer = await text(socket);
      expect(answer).toMatch(/^HTTP\/1.1 400 /);
      const body: unknown = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
      expect(body).toEqual({ message: expect.any(String) as string, code: expect.any(String) as string });
    });

    it('is not found with a method that nobody knows', async () => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.end('FROB /book HTTP/1.1\r\nHost: h\r\n\r\n');
      const answer = await text(socket);
      expect(answer).toMatch(/^HTTP\/1.1 404 /);
      expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ code: 'ROUTE_NOT_FOUND' });
    });

    it.each([
      ['lists', '['.repeat(20_000) + ']'.repeat(20_000)],
      ['objects', '{"a":'.repeat(9_000) + '1' + '}'.repeat(9_000)],
    ])('is refused where it is nested without end: %s', async (_what, value) => {
      const body = `{"user_id": ${value}, "topics": ["a"]}`;
      const response = await fetch(`${service.url}/user`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'VALIDATION_FAILED', field: 'user_id' });
    });

    it('is served though it expects what nobody knows', async () => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.end('GET /health/live HTTP/1.1\r\nHost: h\r\nExpect: banana\r\nConnection: close\r\n\r\n');
      expect(await text(socket)).toMatch(/^HTTP\/1.1 200 /);
    });

    const plain = fc.string({ unit: fc.constantFrom('a', 'b', '1', ' '), maxLength: 6 });
    const user = fc.constantFrom('fuzz1', 'fuzz2', 'nobody');
    const name = fc.constantFrom('Fuzz 1', 'Fuzz 2', 'None');
    const bookingId = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer(), fc.double());
    const fields: Record<string, Record<string, fc.Arbitrary<unknown>>> = {
      '/user': { user_id: plain, topics: fc.array(plain) },
      '/conference': {
        name: plain,
        location: plain,
        start: fc.date().map((date) => (Number.isNaN(date.getTime()) ? '' : date.toISOString())),
        end: fc.constantFrom(`${DAY}01 10:00:00`, '2030-01-01 00:00:00', 'never'),
        slots: fc.integer({ min: -1, max: 1_000_001 }),
        topics: fc.array(plain),
      },
      '/book': { user_id: user, name },
      '/confirm': { booking_id: bookingId, user_id: user },
      '/cancel': { booking_id: bookingId, user_id: user },
    };

    it.each(Object.entries(fields))('of 500 bodies is answered by POST %s below 500', async (route, known) => {
      for (const userId of ['fuzz1', 'fuzz2']) await send('POST', '/user', { user_id: userId, topics: ['all'] });
      for (const [index, fuzz] of ['Fuzz 1', 'Fuzz 2'].entries()) {
        const day = `2043-01-0${index + 1}`;
        await send('POST', '/conference', {
          name: fuzz,
          location: 'Hall',
          start: `${day} 09:00:00`,
          end: `${day} 10:00:00`,
          slots: 1,
          topics: ['all'],
        });
      }
      const anything = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.double());
      const half = Object.fromEntries(
        Object.entries(known).map(([field, right]) => [field, fc.oneof({ arbitrary: right, weight: 4 }, anything)]),
      );
      const body = fc.oneof(
        { arbitrary: fc.record(known), weight: 3 },
        { arbitrary: fc.record(half, { requiredKeys: [] }), weight: 5 },
        fc.dictionary(fc.string({ unit: 'binary' }), anything),
        fc.jsonValue(),
      );
      await fc.assert(
        fc.asyncProperty(body, async (value) => {
          await send('POST', route, value);
        }),
        { numRuns: 500 },
      );
    });
  });
});

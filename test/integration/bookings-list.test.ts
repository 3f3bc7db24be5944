import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { type LoggerService } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApplication } from '../../src/application.js';
import { ApiClient, type ConferenceBooking } from '../../src/cli/api-client.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { Database } from '../../src/database/database.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Backstage } from '../support/seating.js';

/** Several pages, also of lists without a limit, and several blocks of a line. */
const PEOPLE = 2_600;
/** More than the system keeps for whoever does not read. */
const LONG = 60_000;
const POOL = 2;
const READERS = 5;

describe('the list of the bookings of a conference', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let app: NestFastifyApplication;
  let api: ApiClient;
  let url: string;
  const requests: ClientRequest[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    const mixed = await backstage.addConference('Mixed', 1);
    await backstage.fillLine(mixed, 'mixed', PEOPLE);
    // Places in no order, as after many missed offers; and some of every status.
    await backstage.query(`UPDATE bookings SET queue_ticket = queue_ticket + 100000`);
    await backstage.query(`UPDATE bookings SET queue_ticket = 1 + (queue_ticket * 7919) % ${PEOPLE}`);
    await backstage.query(`UPDATE bookings SET status = 'CANCELED', queue_ticket = NULL, canceled_at = now()
      WHERE booking_id % 7 = 0`);
    await backstage.query(`UPDATE bookings SET status = 'ConfirmationPending',
      confirmation_deadline = now() + (CASE booking_id % 2 WHEN 0 THEN '1 hour' ELSE '-1 hour' END)::interval
      WHERE booking_id % 11 = 1 AND status = 'WAITLISTED'`);
    await backstage.query(`UPDATE bookings SET status = 'CONFIRMED', queue_ticket = NULL
      WHERE booking_id % 13 = 2 AND status = 'WAITLISTED'`);
    await backstage.addConference('Empty', 1, 8_700_000);
    await addLong();
    const environment = parseEnvironment({
      DATABASE_URL: database.url,
      DB_POOL_MAX_SIZE: String(POOL),
      ENABLE_QUEUE_CONSUMERS: 'false',
    });
    app = await createApplication(environment, logTo(errors));
    await app.listen(0, '127.0.0.1');
    await app.get(Database).connect();
    url = await app.getUrl();
    api = new ApiClient(new URL(url));
  });
  afterEach(() => {
    for (const request of requests.splice(0)) request.destroy();
    errors.length = 0;
  });
  afterAll(async () => {
    api.close();
    await app.close();
    await backstage.close();
    await database.drop();
  });

  /** One confirmed booking behind many that are canceled. */
  async function addLong(): Promise<void> {
    const id = await backstage.addConference('Long', 1, 8_800_000);
    await backstage.query(
      `INSERT INTO bookings (conference_id, user_id, status, during, created_at, canceled_at)
       SELECT conference_id, 'mixed1', CASE WHEN n = $2 THEN 'CONFIRMED' ELSE 'CANCELED' END::booking_status,
         tstzrange(starts_at, ends_at), now(), CASE WHEN n < $2 THEN now() END
       FROM conferences, generate_series(1, $2::int) n WHERE conference_id = $1 ORDER BY n`,
      [id, LONG],
    );
    await backstage.query('UPDATE conferences SET available_slots = 0 WHERE conference_id = $1', [id]);
  }

  function logTo(lines: string[]): LoggerService {
    const ignore = (): void => undefined;
    return { log: ignore, warn: ignore, error: (message: unknown) => void lines.push(String(message)) };
  }

  async function list(query = '', name = 'Mixed'): Promise<{ bookings: ConferenceBooking[]; link: string | null }> {
    const { status, body, headers } = await api.send('GET', `/conference/${name}/bookings${query}`);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    const { link = null } = headers as { link?: string };
    return { bookings: body as ConferenceBooking[], link };
  }

  /** A reader who has the first bytes of the answer, and takes no more of it until `rest` is called. */
  async function openSlowReader(): Promise<{ first: string; rest: () => Promise<string> }> {
    const request = get(`${url}/conference/Long/bookings`, { agent: false });
    requests.push(request);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.setEncoding('utf8');
    const [first] = (await once(response, 'data')) as [string];
    response.pause();
    const rest = async (): Promise<string> => {
      let text = first;
      response.on('data', (piece: string) => (text += piece));
      response.resume();
      await once(response, 'end');
      return text;
    };
    return { first, rest };
  }

  it('shows every booking as it is, oldest first, over all its pages', async () => {
    const { bookings, link } = await list();
    expect(link).toBeNull();
    const rows = await backstage.query<ConferenceBooking & { created_at: Date }>(
      `SELECT booking_id::int, user_id, status, b.created_at,
         CASE status WHEN 'WAITLISTED' THEN rank() OVER (PARTITION BY b.status ORDER BY queue_ticket)::int END AS waitlist_position,
         status = 'ConfirmationPending' AND confirmation_deadline > now() AS can_confirm, confirmation_deadline, canceled_at
       FROM bookings b JOIN conferences USING (conference_id) WHERE name = 'Mixed' ORDER BY booking_id`,
    );
    expect(rows).toHaveLength(PEOPLE);
    expect(bookings).toEqual(JSON.parse(JSON.stringify(rows)));
    expect(JSON.stringify(bookings)).toBe(JSON.stringify(rows));
    expect(new Set(bookings.map(({ status }) => status)).size).toBe(4);
    expect(bookings.filter(({ can_confirm }) => can_confirm).length).toBeGreaterThan(0);
  });

  it('shows what a look-up of each shows', async () => {
    const { bookings } = await list();
    for (const booking of bookings.filter((_, index) => index % 53 === 0)) {
      const { booking_id, status, can_confirm, confirmation_deadline, waitlist_position } = booking;
      const shown = { booking_id, status, can_confirm, confirmation_deadline, waitlist_position };
      expect((await api.send('GET', `/booking/${booking_id}`)).body).toEqual({ ...shown, conference_name: 'Mixed' });
    }
  });

  it('comes in pages that follow each other by their links', async () => {
    const { bookings: whole } = await list();
    for (const limit of [1_000, 700, PEOPLE / 4]) {
      const pages: ConferenceBooking[][] = [];
      for (let query: string | null = `?limit=${limit}`; query !== null;) {
        const { bookings, link }: Awaited<ReturnType<typeof list>> = await list(query);
        pages.push(bookings);
        const next = link === null ? null : /^<\/conference\/Mixed\/bookings(\?.+)>; rel="next"$/.exec(link);
        if (link !== null) expect(next).not.toBeNull();
        query = next?.[1] ?? null;
      }
      expect(pages.flat()).toEqual(whole);
      expect(pages).toHaveLength(Math.ceil(PEOPLE / limit));
      expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true);
    }
    const [first, second] = whole;
    expect((await list('?limit=1')).bookings).toEqual([first]);
    expect((await list(`?limit=1&after=${first?.booking_id}`)).bookings).toEqual([second]);
  });

  it('begins after any number, and is empty where nothing follows', async () => {
    const { bookings: whole } = await list();
    const after = whole[999]?.booking_id;
    expect((await list(`?after=${after}`)).bookings).toEqual(whole.slice(1_000));
    expect(await list(`?after=${Number.MAX_SAFE_INTEGER}`)).toEqual({ bookings: [], link: null });
    expect(await list(`?after=${Number.MAX_SAFE_INTEGER}&limit=5`)).toEqual({ bookings: [], link: null });
    expect(await list('', 'Empty')).toEqual({ bookings: [], link: null });
    expect(await list('?limit=5', 'Empty')).toEqual({ bookings: [], link: null });
    // As ever, what nobody knows in a query is no reason to refuse.
    expect((await list('?sorted=yes')).bookings).toEqual(whole);
  });

  it('refuses what is wrong before it looks, and names no conference that is not there', async () => {
    const ask = async (path: string): Promise<unknown[]> => {
      const { status, body } = await api.send('GET', path);
      const { code, field, message } = body as { code: string; field?: string; message: string };
      return [status, code, field, message];
    };
    const limit = [400, 'VALIDATION_FAILED', 'limit', 'limit must be a whole number from 1 to 1000'];
    for (const wrong of ['0', '1001', '-1', 'ten', '1.5', '', '1&limit=2']) {
      expect(await ask(`/conference/Mixed/bookings?limit=${wrong}`)).toEqual(limit);
    }
    expect(await ask('/conference/Nowhere/bookings?limit=0')).toEqual(limit);
    const after = expect.stringMatching(/^after must be the booking_id of a booking: a whole number/) as string;
    expect(await ask('/conference/Mixed/bookings?after=x')).toEqual([400, 'VALIDATION_FAILED', 'after', after]);
    for (const query of ['', '?limit=10', '?after=1']) {
      expect((await ask(`/conference/Nowhere/bookings${query}`)).slice(0, 2)).toEqual([404, 'CONFERENCE_NOT_FOUND']);
    }
    expect((await api.send('HEAD', '/conference/Mixed/bookings')).status).toBe(200);
  });

  it('is read as it is taken: more slow readers than connections keep nobody from booking', async () => {
    const readers = await Promise.all(Array.from({ length: READERS }, openSlowReader));
    for (const { first } of readers) expect(first).toMatch(/^\[\{"booking_id":/);
    // Once the system takes no more for them, nothing is read.
    await eventually(async () => {
      const busy = await backstage.query(`SELECT query FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'`);
      expect(busy).toEqual([]);
    });
    // The last of them, while everybody has the first ones already.
    const [last] = await backstage.query<{ booking_id: number }>(
      'SELECT max(booking_id)::int AS booking_id FROM bookings',
    );
    const bookingId = last?.booking_id ?? 0;
    expect((await api.booking(bookingId)).answer.body).toMatchObject({ status: 'CONFIRMED' });
    expect((await api.cancel(bookingId)).ok).toBe(true);

    for (const text of await Promise.all(readers.map(({ rest }) => rest()))) {
      const bookings = JSON.parse(text) as ConferenceBooking[];
      expect(bookings).toHaveLength(LONG);
      expect(bookings.every(({ booking_id }, index) => booking_id === bookingId - LONG + 1 + index)).toBe(true);
      expect(bookings.at(-1)).toMatchObject({ booking_id: bookingId, status: 'CANCELED' });
    }
    expect(errors).toEqual([]);
  });

  it('that cannot be read to its end is cut, and it is logged', async () => {
    const { rest } = await openSlowReader();
    await backstage.query('ALTER TABLE line_blocks RENAME TO mislaid');
    try {
      await expect(rest()).rejects.toThrow('aborted');
      expect(errors).toEqual([expect.stringMatching(/^A list of bookings breaks off after booking \d+: /)]);
      // One that has not begun is refused, as whatever needs the database.
      expect(await api.send('GET', '/conference/Long/bookings')).toMatchObject({
        status: 503,
        body: { code: 'DATABASE_UNAVAILABLE' },
      });
    } finally {
      await backstage.query('ALTER TABLE mislaid RENAME TO line_blocks');
    }
    expect((await list('', 'Long')).bookings).toHaveLength(LONG);
  });
});

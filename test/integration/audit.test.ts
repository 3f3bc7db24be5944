import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { auditDatabase, inSnapshot, type Finding, type Query } from '../../src/cli/audit/audit-database.js';
import { auditRules } from '../../src/cli/audit/rules.js';
import { openDatabase } from '../../src/cli/open-database.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startProcess } from '../support/processes.js';

/**
 * One conference in a day with two slots: 1 confirmed, 2 offered, 3 and 4 waiting, 5 canceled; and one that is over,
 * where 6 is confirmed and 7 was canceled at the start.
 */
const GOOD = `
  INSERT INTO users (user_id) VALUES ('ada'), ('bob'), ('cyd'), ('dan'), ('eve');
  INSERT INTO conferences
    (conference_id, name, location, starts_at, ends_at, total_slots, available_slots, held_slots, waitlisted, last_ticket)
  VALUES (1, 'Soon', 'Hall', now() + interval '1 day', now() + interval '25 hours', 2, 0, 1, 2, 4),
    (2, 'Over', 'Hall', now() - interval '3 hours', now() - interval '2 hours', 1, 0, 0, 0, 1),
    (3, 'Next', 'Hall', now() + interval '25 hours', now() + interval '26 hours', 3, 2, 0, 0, 0);
  INSERT INTO bookings
    (booking_id, conference_id, user_id, status, during, queue_ticket, confirmation_deadline, created_at, canceled_at)
  SELECT booking_id, conference_id, user_id, status::booking_status, tstzrange(starts_at, ends_at), ticket,
    CASE status WHEN 'ConfirmationPending' THEN now() + interval '1 hour' END, now() - interval '1 day',
    CASE status WHEN 'CANCELED' THEN now() END
  FROM (VALUES
    (1, 1, 'ada', 'CONFIRMED', NULL), (2, 1, 'bob', 'ConfirmationPending', 1), (3, 1, 'cyd', 'WAITLISTED', 3),
    (4, 1, 'dan', 'WAITLISTED', 4), (5, 1, 'eve', 'CANCELED', NULL), (6, 2, 'ada', 'CONFIRMED', NULL),
    (7, 2, 'bob', 'CANCELED', NULL), (8, 3, 'ada', 'CONFIRMED', NULL)
  ) AS given (booking_id, conference_id, user_id, status, ticket) JOIN conferences USING (conference_id);
  INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, at)
  SELECT booking_id, from_status::booking_status, to_status::booking_status, reason, now() FROM (VALUES
    (1, NULL, 'CONFIRMED', 'booked'), (5, NULL, 'CONFIRMED', 'booked'),
    (2, NULL, 'WAITLISTED', 'joined_waitlist'), (3, NULL, 'WAITLISTED', 'joined_waitlist'),
    (5, 'CONFIRMED', 'CANCELED', 'canceled'), (3, 'WAITLISTED', 'ConfirmationPending', 'offered'),
    (4, NULL, 'WAITLISTED', 'joined_waitlist'), (3, 'ConfirmationPending', 'WAITLISTED', 'missed'),
    (2, 'WAITLISTED', 'ConfirmationPending', 'offered'), (6, NULL, 'CONFIRMED', 'booked'),
    (7, NULL, 'WAITLISTED', 'joined_waitlist'), (7, 'WAITLISTED', 'CANCELED', 'conference_started'),
    (8, NULL, 'CONFIRMED', 'booked')
  ) AS given (booking_id, from_status, to_status, reason)`;

const NO_CHECKS = `
  ALTER TABLE conferences DROP CONSTRAINT conferences_slots_check, DROP CONSTRAINT conferences_line_check,
    DROP CONSTRAINT conferences_times_check;
  ALTER TABLE bookings DROP CONSTRAINT bookings_status_check, DROP CONSTRAINT bookings_no_overlap;
  ALTER TABLE booking_transitions DROP CONSTRAINT booking_transitions_reason_check;
  DROP INDEX bookings_active_key`;

const EXTRA_BOOKING = `
  INSERT INTO bookings (booking_id, conference_id, user_id, status, during, created_at)
  SELECT 9, conference_id, $USER, 'CONFIRMED', tstzrange(starts_at, ends_at), now() FROM conferences WHERE conference_id = 1;
  INSERT INTO booking_transitions (booking_id, to_status, reason, at) VALUES (9, 'CONFIRMED', 'booked', now())`;

const transition = (booking: number, from: string, to: string, reason: string): string =>
  `INSERT INTO booking_transitions (booking_id, from_status, to_status, reason, at)
   VALUES (${booking}, ${from}, '${to}', '${reason}', now())`;

/** How each rule is broken; which of the rows it then finds, and by what. */
const BREAKS: [rule: string, sql: string, found: Record<string, unknown>][] = [
  ['never oversold', 'UPDATE conferences SET total_slots = 1 WHERE conference_id = 1', { confirmed: '1', held: '1' }],
  ['never oversold', EXTRA_BOOKING.replace('$USER', `'eve'`), { confirmed: '2', held: '1' }],
  ['never idle', 'UPDATE conferences SET available_slots = 1 WHERE conference_id = 1', { waiting: '2' }],
  ['never idle', `UPDATE bookings SET status = 'CANCELED' WHERE booking_id = 1`, { confirmed: '0', held: '1' }],
  ['counters', 'UPDATE conferences SET available_slots = 1 WHERE conference_id = 3', { conference_id: 3 }],
  ['counters', 'UPDATE conferences SET held_slots = 0 WHERE conference_id = 1', { held_slots: 0, pending: '1' }],
  ['counters', 'UPDATE conferences SET waitlisted = 3 WHERE conference_id = 1', { waitlisted: 3, waiting: '2' }],
  ['ranks', 'UPDATE line_blocks SET waiting = 1', { conference_id: 1, block: '0', waiting: 1, counted: '2' }],
  ['ranks', 'DELETE FROM line_blocks', { waiting: 0, counted: '2' }],
  ['ranks', 'INSERT INTO line_blocks VALUES (3, 7, 1)', { conference_id: 3, block: '7', waiting: 1, counted: '0' }],
  [
    'no ticket',
    'UPDATE conferences SET last_ticket = 3 WHERE conference_id = 1',
    { last_ticket: '3', max_ticket: '4' },
  ],
  ['one active booking', EXTRA_BOOKING.replace('$USER', `'dan'`), { user_id: 'dan', first: '4', last: '9' }],
  [
    'no user has two',
    `UPDATE conferences SET starts_at = starts_at - interval '1 second' WHERE conference_id = 3`,
    { booking_id: '8' },
  ],
  [
    'no user has two',
    `UPDATE conferences SET ends_at = starts_at + interval '3 hours', starts_at = starts_at - interval '1 hour'
     WHERE conference_id = 3`,
    { booking_id: '8' },
  ],
  [
    'nothing waits',
    `UPDATE conferences SET starts_at = now() - interval '1 minute' WHERE conference_id = 1`,
    { booking_id: '2' },
  ],
  [
    'no offer is overdue',
    `UPDATE bookings SET confirmation_deadline = now() - interval '3 seconds' WHERE booking_id = 2`,
    { booking_id: '2' },
  ],
  [
    'no deadline',
    `UPDATE bookings SET confirmation_deadline = now() + interval '2 days' WHERE booking_id = 2`,
    { booking_id: '2' },
  ],
  [
    'every booking has the times',
    `UPDATE bookings SET during = tstzrange(lower(during), upper(during), '[]') WHERE booking_id = 5`,
    { booking_id: '5' },
  ],
  ['every transition', transition(1, 'NULL', 'CONFIRMED', 'booked'), { booking_id: '1', came_from: 'CONFIRMED' }],
  ['every transition', transition(1, `'CONFIRMED'`, 'WAITLISTED', 'missed'), { from_status: 'CONFIRMED' }],
  ['every transition', transition(2, `'ConfirmationPending'`, 'CONFIRMED', 'booked'), { reason: 'booked' }],
  ['every transition', transition(2, `'WAITLISTED'`, 'CANCELED', 'canceled'), { came_from: 'ConfirmationPending' }],
  [
    'every transition',
    `DELETE FROM booking_transitions WHERE booking_id = 5 AND reason = 'booked'`,
    { came_from: null },
  ],
  ['every booking has transitions', 'DELETE FROM booking_transitions WHERE booking_id = 8', { last_transition: null }],
  [
    'every booking has transitions',
    `UPDATE bookings SET status = 'CANCELED' WHERE booking_id = 8`,
    { booking_id: '8', last_transition: 'CONFIRMED' },
  ],
];

describe('the audit', () => {
  let database: TestDatabase;
  let client: Client;
  const query: Query = async (sql) => (await client.query<Record<string, unknown>>(sql)).rows;
  const brokenOf = (findings: Finding[]): Finding[] => findings.filter(({ total }) => total > 0);

  beforeAll(async () => {
    database = await createTestDatabase();
    client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query(GOOD);
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  it('holds on good data', async () => {
    const findings = await auditDatabase(query);
    expect(brokenOf(findings)).toEqual([]);
    expect(findings).toHaveLength(13);
  });

  it('can be made to fail in every rule', () => {
    for (const { name } of auditRules({ at: 'now()', graceSeconds: 2 })) {
      expect(BREAKS.some(([rule]) => name.startsWith(rule))).toBe(true);
    }
  });

  describe('of data broken on purpose', () => {
    beforeEach(async () => {
      await client.query(`BEGIN; ${NO_CHECKS}`);
    });
    afterEach(async () => {
      await client.query('ROLLBACK');
    });

    it.each(BREAKS)('%s: %s', async (rule, sql, found) => {
      await client.query(sql);
      const finding = (await auditDatabase(query)).find((each) => each.rule.startsWith(rule));
      expect(finding?.offending[0]).toMatchObject(found);
      expect(finding?.total).toBe(finding?.offending.length);
    });

    it('gives what is due the grace it is told, and no more', async () => {
      await client.query(`
        UPDATE bookings SET confirmation_deadline = now() - interval '30 seconds' WHERE booking_id = 2;
        UPDATE conferences SET starts_at = now() - interval '30 seconds' WHERE conference_id = 1;
        UPDATE bookings SET during = tstzrange(starts_at, ends_at) FROM conferences c WHERE c.conference_id = bookings.conference_id`);
      expect(brokenOf(await auditDatabase(query, { graceSeconds: 60 }))).toEqual([]);
      expect(brokenOf(await auditDatabase(query, { graceSeconds: 20 })).map(({ rule }) => rule)).toEqual([
        'nothing waits or is offered for more than 20 s after a start',
        'no offer is overdue for more than 20 s',
      ]);
    });

    it('shows the first rows, and counts them all', async () => {
      await client.query(`INSERT INTO conferences (conference_id, name, location, starts_at, ends_at, total_slots, available_slots)
        SELECT 100 + n, 'C ' || n, 'Hall', now(), now() + interval '1 hour', 5, 4 FROM generate_series(1, 30) n`);
      const finding = (await auditDatabase(query)).find(({ rule }) => rule.startsWith('counters'));
      expect(finding).toMatchObject({ total: 30 });
      expect(finding?.offending).toHaveLength(20);
    });
  });

  it('reads one moment, and can change nothing', async () => {
    const dataSource = await new DataSource(
      dataSourceOptions({ url: database.url, poolMax: 2, poolMinIdle: 0, pooler: 'none' }),
    ).initialize();
    try {
      await inSnapshot(dataSource, async (read) => {
        const before = await auditDatabase(read);
        await client.query('UPDATE conferences SET waitlisted = 9 WHERE conference_id = 1');
        expect(await auditDatabase(read)).toEqual(before);
        await expect(read('UPDATE conferences SET waitlisted = 2')).rejects.toThrow('read-only transaction');
      });
      expect(brokenOf(await inSnapshot(dataSource, (read) => auditDatabase(read)))).toHaveLength(1);
    } finally {
      await client.query('UPDATE conferences SET waitlisted = 2 WHERE conference_id = 1');
      await dataSource.destroy();
    }
  });

  it('may take longer than a request may', async () => {
    const environment = parseEnvironment({ DATABASE_URL: database.url });
    const opened = await openDatabase(environment, { log: () => undefined, migrate: false });
    try {
      expect(await inSnapshot(opened.dataSource, (read) => read('SELECT 1 AS done FROM pg_sleep(8.5)'))).toHaveLength(
        1,
      );
    } finally {
      await opened.close();
    }
  });

  it('is a command that says so, and ends with 1 where a rule is broken', async () => {
    const run = async (): Promise<[number | null, string[]]> => {
      const audit = startProcess('cli/audit/main', [], { DATABASE_URL: database.url });
      const { code } = await audit.exited;
      return [code, audit.output().trimEnd().split('\n')];
    };
    const [goodCode, good] = await run();
    expect(good.at(-1)).toBe('13 rules hold on 3 conferences, 8 bookings');
    expect(goodCode).toBe(0);

    await client.query('UPDATE conferences SET waitlisted = 9 WHERE conference_id = 1');
    const [badCode, bad] = await run();
    expect(bad).toContain('✗ counters equal what they count: available, held and waiting: 1 row');
    expect(bad.join('\n')).toMatch(/│ 1 +│ Soon /);
    expect(bad.at(-1)).toBe('1 of 13 rules are broken on 3 conferences, 8 bookings');
    expect(badCode).toBe(1);
    await client.query('UPDATE conferences SET waitlisted = 2 WHERE conference_id = 1');
  });
});

import { resolve } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { Queues, visit } from './support.js';

const SCHEDULE = resolve('examples', 'schedule.xml');
const WINDOW_SECONDS = 1;

describe('the main job', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let service: Service;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    service = await startService({ DATABASE_URL: database.url, ...queues.env }, { until: 'ready' });
  });

  afterAll(async () => {
    await service.stop();
    await queues.close();
    await backstage.close();
    await database.drop();
  });

  async function run(entry: string, ...args: string[]): Promise<{ code: number | null; last: string | undefined }> {
    const { code, output } = await runCommand(entry, args, { DATABASE_URL: database.url, ...queues.env });
    return { code, last: output.trimEnd().split('\n').at(-1) };
  }

  async function count(sql: string, ...parameters: unknown[]): Promise<number> {
    const [row] = await backstage.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${sql}`, parameters);
    return row?.count ?? NaN;
  }

  async function expectEveryRuleToHold(): Promise<void> {
    const { code, last } = await run('cli/audit/main');
    expect(last).toMatch(/^13 rules hold on 8 conferences, [1-9]\d* bookings$/);
    expect(code).toBe(0);
  }

  it('imports a schedule, has attendees rush on it, and keeps every rule', async () => {
    const startsOn = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    expect(await run('cli/import/main', SCHEDULE, '--starts-on', startsOn, '--slots', '5')).toEqual({
      code: 0,
      last: 'imported 8 of 8, skipped 0',
    });

    expect(await run('cli/demo/main', '--url', service.url, '--attendees', '150', '--seed', '7')).toEqual({
      code: 0,
      last: 'No rule was seen broken, and no answer was unexpected.',
    });
    for (const reason of ['joined_waitlist', 'offered', 'confirmed', 'missed', 'canceled']) {
      expect([reason, await count('booking_transitions WHERE reason = $1', reason)]).not.toEqual([reason, 0]);
    }
    await expectEveryRuleToHold();

    // Nobody takes what is offered now.
    const confirmed = await backstage.query<{ booking_id: string }>(
      `SELECT booking_id FROM bookings JOIN conferences USING (conference_id)
       WHERE status = 'CONFIRMED' AND waitlisted > 0 ORDER BY booking_id LIMIT 10`,
    );
    expect(confirmed.length).toBeGreaterThan(0);
    const missed = "booking_transitions WHERE reason = 'missed'";
    const before = await count(missed);
    const world = visit(service);
    for (const { booking_id } of confirmed) await world.cancelActive(Number(booking_id));
    world.api.close();
    await expectEveryRuleToHold();
    await eventually(async () => expect(await count(missed)).toBeGreaterThanOrEqual(before + 2 * confirmed.length));
    await expectEveryRuleToHold();
  });
});

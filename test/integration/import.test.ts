import { once } from 'node:events';
import { chmodSync, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type INestApplicationContext, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { auditDatabase } from '../../src/cli/audit/audit-database.js';
import { ConferenceImporter, type ImportReport } from '../../src/cli/import/conference-importer.js';
import { ImportModule } from '../../src/cli/import/import.module.js';
import { draftConferences, type Draft } from '../../src/cli/import/plan.js';
import { readSchedule } from '../../src/cli/import/schedule-reader.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { TimerPublisher } from '../../src/messaging/timer-publisher.js';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startProcess } from '../support/processes.js';

const EXAMPLE = resolve('examples', 'schedule.xml');

describe('the import', () => {
  let database: TestDatabase;
  let client: Client;
  let drafts: Draft[];
  const apps: INestApplicationContext[] = [];

  beforeAll(async () => {
    Logger.overrideLogger(false);
    drafts = draftConferences(await readSchedule(EXAMPLE), Date.UTC(2050, 0, 1));
  });

  beforeEach(async () => {
    database = await createTestDatabase();
    client = new Client({ connectionString: database.url });
    await client.connect();
  });

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    await client.end();
    await database.drop();
  });

  async function openImporter(variables: Record<string, string> = {}): Promise<INestApplicationContext> {
    const environment = parseEnvironment({ DATABASE_URL: database.url, ...variables });
    const app = await NestFactory.createApplicationContext(ImportModule.with(environment));
    apps.push(app);
    await app.get(DataSource).initialize();
    return app;
  }

  const importWith = (app: INestApplicationContext): Promise<ImportReport> =>
    app.get(ConferenceImporter).import(drafts, 7);

  async function rowsOf<Row extends object>(sql: string): Promise<Row[]> {
    return (await client.query<Row>(sql)).rows;
  }

  const listConferences = (): Promise<{ name: string; source_key: string | null }[]> =>
    rowsOf('SELECT name, source_key FROM conferences ORDER BY name');

  it('creates a conference for every event', async () => {
    const report = await importWith(await openImporter());
    expect(report.conferences).toHaveLength(8);
    expect(report).toMatchObject({ skipped: [], timers: 'none' });
    const rows = await rowsOf(`SELECT name, location, starts_at, ends_at, total_slots, available_slots, source_key,
        array(SELECT topic FROM conference_topics t WHERE t.conference_id = c.conference_id ORDER BY topic) AS topics
      FROM conferences c ORDER BY starts_at, name`);
    expect(rows).toHaveLength(8);
    expect(rows[1]).toEqual({
      name: 'Loeten fuer alle ein Laempchen zum Mitnehmen',
      location: 'Workshop',
      starts_at: new Date('2050-01-01T08:15:00Z'),
      ends_at: new Date('2050-01-01T10:30:00Z'),
      total_slots: 7,
      available_slots: 7,
      source_key: 'lanterndays#0d3c2f5e-6f0b-4a52-9a39-5b1f0f4a1c04',
      topics: ['Making', 'de', 'workshop'],
    });
    const findings = await auditDatabase(rowsOf);
    expect(findings.filter(({ total }) => total > 0)).toEqual([]);
  });

  it('skips what exists when it runs again', async () => {
    const app = await openImporter();
    await importWith(app);
    const before = await listConferences();
    const again = await importWith(app);
    expect(again.conferences).toEqual([]);
    expect(again.skipped.map(({ reason }) => reason)).toEqual(Array(8).fill('already imported'));
    expect(await listConferences()).toEqual(before);
  });

  it('adds what is new, under the name it would have had at first', async () => {
    const app = await openImporter();
    await importWith(app);
    const before = await listConferences();
    await client.query(`DELETE FROM conference_topics WHERE conference_id IN
      (SELECT conference_id FROM conferences WHERE name LIKE 'Lightning%' OR name = 'Opening')`);
    await client.query(`DELETE FROM conferences WHERE name LIKE 'Lightning%' OR name = 'Opening'`);
    expect((await importWith(app)).conferences).toHaveLength(3);
    expect(await listConferences()).toEqual(before);
  });

  it('leaves a name to what has it', async () => {
    await client.query(`INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
      VALUES ('Opening', 'Hall', now(), now() + interval '1 hour', 1, 1)`);
    await importWith(await openImporter());
    const openings = (await listConferences()).filter(({ name }) => name.startsWith('Opening'));
    expect(openings).toEqual([
      { name: 'Opening', source_key: null },
      { name: expect.stringMatching(/^Opening [0-9a-f]{6}$/) as string, source_key: expect.any(String) as string },
    ]);
  });

  it('writes nothing at all where the last row fails', async () => {
    await client.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no workshops''; END';
      CREATE TRIGGER refuse BEFORE INSERT ON conference_topics FOR EACH ROW WHEN (new.topic = 'workshop')
        EXECUTE FUNCTION refuse()`);
    await expect(importWith(await openImporter())).rejects.toThrow('no workshops');
    expect(await listConferences()).toEqual([]);
  });

  it('imports once when two do it at the same time', async () => {
    const reports = await Promise.all([await openImporter(), await openImporter()].map(importWith));
    expect(reports.map(({ conferences }) => conferences.length).sort()).toEqual([0, 8]);
    expect(await listConferences()).toHaveLength(8);
  });

  it('looks again when somebody else takes a name in the middle', async () => {
    await client.query(`BEGIN; INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots)
      VALUES ('Opening', 'Hall', now(), now() + interval '1 hour', 1, 1)`);
    const importing = importWith(await openImporter());
    await eventually(async () => {
      const waiting = await rowsOf(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(waiting).toHaveLength(1);
    });
    await client.query('COMMIT');
    expect((await importing).conferences.map(({ name }) => name)).toContainEqual(
      expect.stringMatching(/^Opening [0-9a-f]{6}$/),
    );
  });

  it('sets the start timers', async () => {
    const app = await openImporter({
      RABBITMQ_URL: process.env.TEST_RABBITMQ_URL ?? '',
      RABBITMQ_QUEUE_PREFIX: `import-${process.pid}-${Date.now()}`,
    });
    expect((await importWith(app)).timers).toBe('set');
    expect(app.get(TimerPublisher).counts).toMatchObject({ published: 8, returned: 0, owed: 0, inFlight: 0 });
  });

  it('does not wait long for a broker that is down', async () => {
    const app = await openImporter({ RABBITMQ_URL: 'amqp://127.0.0.1:1' });
    const startedAt = performance.now();
    expect(await importWith(app)).toMatchObject({ timers: 'late', skipped: [] });
    expect(performance.now() - startedAt).toBeLessThan(8_000);
  });
});

describe('npm run import', () => {
  let database: TestDatabase;
  let folder: string;

  beforeAll(async () => {
    database = await createEmptyDatabase();
    folder = mkdtempSync(join(tmpdir(), 'booking-import-'));
    chmodSync(folder, 0o711);
  });

  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await database.drop();
  });

  async function run(
    entry: 'import' | 'audit',
    args: string[],
    env: Record<string, string> = { DATABASE_URL: database.url },
    options: { cwd?: string } = {},
  ): Promise<{ code: number | null; lines: string[] }> {
    const command = startProcess(`cli/${entry}/main`, args, env, options);
    const { code } = await command.exited;
    return { code, lines: command.output().trimEnd().split('\n') };
  }

  it('migrates, imports, skips the second time, and lists why', async () => {
    const first = await run('import', [EXAMPLE, '--starts-on', '2050-01-01', '--slots', '3']);
    expect(first).toEqual({
      code: 0,
      lines: [expect.stringContaining('migrated the database'), 'imported 8 of 8, skipped 0'],
    });
    const second = await run('import', [EXAMPLE, '--starts-on', '2051-01-01']);
    expect(second.lines[0]).toBe('skipped "Opening": already imported');
    expect(second.lines.at(-1)).toBe('imported 0 of 8, skipped 8');
    expect(second.code).toBe(0);
  });

  it('ends with 1 and one sentence where nothing can be imported', async () => {
    const file = join(folder, 'past.xml');
    writeFileSync(file, '<schedule><day date="2001-01-01"><event guid="1"><title>A</title></event></day></schedule>');
    const { code, lines } = await run('import', [file]);
    expect(lines[0]).toBe('skipped "A": it has no start');
    expect(lines.slice(1)).toEqual([expect.stringMatching(/^None of the 1 events can be imported: .*\.$/)]);
    expect(code).toBe(1);
  });

  it('ends with 1 and one sentence where the file is no schedule, before it looks for a database', async () => {
    const env = { DATABASE_URL: 'postgres://someone:geheim@127.0.0.1:1/nothing' };
    const { code, lines } = await run('import', [resolve('package.json')], env);
    expect(lines).toEqual([expect.stringMatching(/package\.json is no schedule: .*\.$/)]);
    expect(code).toBe(1);
  });

  it('says which database cannot be reached, without the password', async () => {
    const env = { DATABASE_URL: 'postgres://someone:geheim@127.0.0.1:1/nothing' };
    const { code, lines } = await run('import', [EXAMPLE], env);
    expect(lines).toEqual([expect.stringContaining('The database at 127.0.0.1:1/nothing cannot be reached')]);
    expect(lines.join('\n')).not.toContain('geheim');
    expect(code).toBe(1);
  });

  it('reads 100 MB in a small heap', async () => {
    const file = join(folder, 'large.xml');
    const stream = createWriteStream(file);
    stream.write('<schedule><conference><acronym>large</acronym></conference><day date="2050-05-03">');
    const words = 'A talk about lamps &amp; light. '.repeat(16_000);
    for (let id = 0; id < 200; id++) {
      const times = '<start>10:00</start><duration>1:00</duration>';
      const event = `<event id="${id}"><title>Talk ${id}</title>${times}<description>${words}</description></event>`;
      if (!stream.write(event)) await once(stream, 'drain');
    }
    stream.end('</day></schedule>');
    await once(stream, 'finish');
    const env = { DATABASE_URL: database.url, NODE_OPTIONS: '--max-old-space-size=96' };
    expect(await run('import', [file], env)).toEqual({ code: 0, lines: ['imported 200 of 200, skipped 0'] });
  });

  it('starts the embedded database where none is running, and ends it', async () => {
    const cwd = mkdtempSync(join(folder, 'embedded-'));
    chmodSync(cwd, 0o711);
    const first = await run('import', [EXAMPLE, '--starts-on', '2050-01-01'], {}, { cwd });
    expect(first.lines.at(-1)).toBe('imported 8 of 8, skipped 0');
    const audit = await run('audit', [], {}, { cwd });
    expect(audit.lines.at(-1)).toBe('13 rules hold on 8 conferences, 0 bookings');
    expect([first.code, audit.code]).toEqual([0, 0]);
  });
});

import { execFileSync } from 'node:child_process';
import { ApiClient } from '../../src/cli/api-client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { Queues } from './support.js';

const CONNECTIONS = 64;
const LOAD_MS = 5_000;
const MB = 1_024;

describe('memory', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let queues: Queues;
  let service: Service;
  let api: ApiClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(10);
    service = await startService({ DATABASE_URL: database.url, ...queues.env }, { until: 'ready' });
    await queues.whenConsumed();
    api = new ApiClient(new URL(service.url), CONNECTIONS);
  });
  afterAll(async () => {
    api.close();
    await service.stop();
    await queues.close();
    await backstage.close();
    await database.drop();
  });

  const residentMb = (): number =>
    Number(execFileSync('ps', ['-o', 'rss=', '-p', String(service.pid)], { encoding: 'utf8' })) / MB;

  it('stays under 200 MB at rest, and under 300 MB while 64 connections book', async () => {
    const atRestMb = residentMb();
    expect(atRestMb).toBeGreaterThan(20);
    expect(atRestMb).toBeLessThan(200);

    const users = await backstage.addUsers('load', 50_000);
    await backstage.addConference('Busy', 100);
    const durationsMs: number[] = [];
    let mostMb = atRestMb;
    const sampling = setInterval(() => (mostMb = Math.max(mostMb, residentMb())), 250);
    const end = performance.now() + LOAD_MS;
    const bookOnAndOn = async (): Promise<void> => {
      for (let user = users.pop(); user !== undefined && performance.now() < end; user = users.pop()) {
        const { ok, answer } = await api.book(user, 'Busy');
        expect(ok).toBe(true);
        durationsMs.push(answer.durationMs);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, bookOnAndOn)).finally(() => clearInterval(sampling));

    durationsMs.sort((a, b) => a - b);
    const p99Ms = durationsMs[Math.floor(0.99 * durationsMs.length)] ?? NaN;
    process.stdout.write(
      `  ${Math.round(atRestMb)} MB at rest, at most ${Math.round(mostMb)} MB under load; ` +
        `${durationsMs.length} bookings in ${LOAD_MS / 1_000} s at ${CONNECTIONS} connections, p99 ${Math.round(p99Ms)} ms\n`,
    );
    expect(durationsMs.length).toBeGreaterThan(1_000);
    expect(mostMb).toBeLessThan(300);
  });
});

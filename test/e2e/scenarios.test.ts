import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { Queues } from './support.js';

const WINDOW_SECONDS = 2;

describe('the ten scenarios', () => {
  const databases: TestDatabase[] = [];
  const services: Service[] = [];
  let outcomes: Awaited<ReturnType<typeof runCommand>>[];
  let queues: Queues;

  // Side by side: they mostly wait.
  beforeAll(async () => {
    queues = await Queues.open(WINDOW_SECONDS);
    for (const messaging of [queues.env, { ...queues.env, RABBITMQ_URL: '' }]) {
      const database = await createTestDatabase();
      databases.push(database);
      services.push(await startService({ DATABASE_URL: database.url, ...messaging }, { until: 'ready' }));
    }
    outcomes = await Promise.all(services.map(({ url }) => runCommand('cli/scenarios/main', ['--url', url])));
  });
  afterAll(async () => {
    for (const service of services) await service.stop();
    for (const database of databases) await database.drop();
    await queues.close();
  });

  it.each([
    ['with a broker', 0],
    ['without one', 1],
  ])('pass %s', (_way, index) => {
    const { code, output } = outcomes[index] ?? { code: null, output: '' };
    // The whole output where they do not.
    if (code !== 0) expect(output).toBe('');
    expect(output.trimEnd().split('\n').at(-1)).toBe('10 passed, 0 failed');
  });
});

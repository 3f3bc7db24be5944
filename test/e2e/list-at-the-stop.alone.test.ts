import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';

const WAITING = 10_000;
const BOOKINGS = 100_000;
const MB = 1_024;
const MOST_GROWTH_MB = 50;
/** A connection that is still open so long after the signal is cut. */
const CUT_AFTER_MS = 6_000;

describe('a list of 100,000 bookings', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let service: Service;
  let agent: Agent;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    const id = await backstage.addConference('Long', 1);
    await backstage.fillLine(id, 'long', WAITING);
    await backstage.query(
      `INSERT INTO bookings (conference_id, user_id, status, during, created_at, canceled_at)
       SELECT conference_id, 'long1', 'CANCELED', tstzrange(starts_at, ends_at), now(), now()
       FROM conferences, generate_series(1, $1::int)`,
      [BOOKINGS - WAITING],
    );
  });
  beforeEach(async () => {
    service = await startService({ DATABASE_URL: database.url }, { until: 'ready' });
    agent = new Agent({ keepAlive: true });
  });
  afterEach(async () => {
    agent.destroy();
    await service.stop();
  });
  afterAll(async () => {
    await backstage.close();
    await database.drop();
  });

  /** The answer, of which nothing has been taken yet. */
  async function ask(query = ''): Promise<IncomingMessage> {
    const request = get(`${service.url}/conference/Long/bookings${query}`, { agent });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  }

  async function take(response: IncomingMessage): Promise<{ text: string; firstAt: number }> {
    let text = '';
    let firstAt = 0;
    response.setEncoding('utf8');
    for await (const piece of response) {
      if (text === '') firstAt = performance.now();
      text += piece as string;
    }
    return { text, firstAt };
  }

  it(`is sent with less than ${MOST_GROWTH_MB} MB more of memory, also three times`, async () => {
    const residentMb = (): number =>
      Number(execFileSync('ps', ['-o', 'rss=', '-p', String(service.pid)], { encoding: 'utf8' })) / MB;
    const atRestMb = residentMb();
    let mostMb = atRestMb;
    const sampling = setInterval(() => (mostMb = Math.max(mostMb, residentMb())), 50);
    try {
      for (let round = 0; round < 3; round++) {
        const askedAt = performance.now();
        const { text, firstAt } = await take(await ask());
        const tookMs = performance.now() - askedAt;
        expect(JSON.parse(text)).toHaveLength(BOOKINGS);
        process.stdout.write(
          `  ${(text.length / 1e6).toFixed(1)} MB of list: first byte after ${Math.round(firstAt - askedAt)} ms, ` +
            `the last after ${Math.round(tookMs)} ms; ${Math.round(mostMb - atRestMb)} MB more than at rest\n`,
        );
      }
    } finally {
      clearInterval(sampling);
    }
    expect(mostMb - atRestMb).toBeLessThan(MOST_GROWTH_MB);
  });

  it('that is being read when the service is told to stop is sent to its end, and the stop waits no longer', async () => {
    // More than the system keeps for whoever does not read.
    const left = 60_000;
    const [first] = await backstage.query<{ id: number }>('SELECT min(booking_id)::int AS id FROM bookings');
    const response = await ask(`?after=${(first?.id ?? 0) + BOOKINGS - left - 1}`);
    const toldAt = performance.now();
    const stopping = service.stop();
    await eventually(() => expect(service.output()).toContain('stopping'));
    const { text } = await take(response);
    expect(JSON.parse(text)).toHaveLength(left);
    expect(await stopping).toEqual({ code: 0, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(CUT_AFTER_MS - 500);
  });

  it('whose reader takes nothing is cut in time when the service is told to stop', async () => {
    const response = await ask();
    const toldAt = performance.now();
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(10_000);
    await expect(take(response)).rejects.toThrow('aborted');
  });
});

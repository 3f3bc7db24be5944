import { randomBytes } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { once } from 'node:events';
import { connect } from 'amqplib';
import type { World } from '../../src/cli/scenarios/world.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Scrape } from '../support/exposition.js';
import { runCommand, type Service, startService } from '../support/processes.js';
import { promtool, readAlerts, readDashboard, startPrometheus } from '../support/prometheus.js';
import { Backstage } from '../support/seating.js';
import { Queues, visit } from './support.js';

const WINDOW_SECONDS = 1;
const TOKEN = 'a-token-of-the-tests';

describe('metrics', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let services: Service[];

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
  });
  afterAll(async () => {
    await backstage.close();
    await database.drop();
  });
  beforeEach(() => {
    services = [];
  });
  afterEach(async () => {
    await Promise.all(services.map((service) => service.stop()));
  });

  async function start(env: Record<string, string> = {}): Promise<Service> {
    const service = await startService({ DATABASE_URL: database.url, LOG_LEVEL: 'warn', ...env }, { until: 'ready' });
    services.push(service);
    return service;
  }

  async function startMeasured(env: Record<string, string> = {}): Promise<{ service: Service; metrics: string }> {
    const port = String(await findFreePort());
    const service = await start({ METRICS_PORT: port, ...env });
    return { service, metrics: `http://127.0.0.1:${port}` };
  }

  async function ask(url: string, init: RequestInit = {}): Promise<[number, unknown, string | null]> {
    const response = await fetch(url, init);
    return [response.status, await response.json(), response.headers.get('www-authenticate')];
  }

  const NOT_FOUND = [404, expect.objectContaining({ code: 'ROUTE_NOT_FOUND' }), null];

  it('are served nowhere unless they are asked for', async () => {
    const { url } = await start();
    expect(await ask(`${url}/metrics`)).toEqual(NOT_FOUND);
    expect(await ask(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })).toEqual(NOT_FOUND);
  });

  it('have a port of their own, for GET /metrics and nothing else', async () => {
    const { service, metrics } = await startMeasured();
    const scrape = await Scrape.from(`${metrics}/metrics`);
    expect(scrape.value('booking_instance_info', { role: 'all' })).toBe(1);
    // There is no broker that could be up or down.
    expect(scrape.value('booking_broker_up')).toBeUndefined();
    expect(scrape.value('booking_database_connections_max')).toBe(10);
    expect(scrape.value('process_resident_memory_bytes')).toBeGreaterThan(1_000_000);
    for (const path of ['/', '/metrics/', '/health/live', '/conferences']) {
      expect(await ask(metrics + path)).toEqual(NOT_FOUND);
    }
    expect(await ask(`${metrics}/metrics`, { method: 'POST' })).toEqual(NOT_FOUND);
    expect(await ask(`${service.url}/metrics`)).toEqual(NOT_FOUND);
    // Of ours; those of Node.js are named by others.
    const ours = scrape.text.split('\n\n').filter((part) => part.startsWith('# HELP booking_'));
    expect(promtool(['check', 'metrics'], { input: `${ours.join('\n')}\n` })).toEqual({ ok: true, output: '' });
  });

  it('are told on the service’s port to whoever has the token, and to nobody else', async () => {
    const { url } = await start({ METRICS_TOKEN: TOKEN });
    const refused = [
      401,
      { message: 'Send the METRICS_TOKEN in Authorization: Bearer <token>', code: 'UNAUTHENTICATED' },
      'Bearer realm="metrics"',
    ];
    expect(await ask(`${url}/metrics`)).toEqual(refused);
    for (const authorization of [TOKEN, 'Bearer', `Bearer ${TOKEN}x`, `Bearer x${TOKEN}`, `Basic ${TOKEN}`]) {
      expect(await ask(`${url}/metrics`, { headers: { authorization } })).toEqual(refused);
    }
    const scrape = await Scrape.from(`${url}/metrics`, { authorization: `Bearer ${TOKEN}` });
    expect(scrape.value('booking_http_request_duration_seconds_count', { route: '/metrics', status: '401' })).toBe(6);
  });

  it('are a worker’s, too, in both ways', async () => {
    const { service, metrics } = await startMeasured({ WORKER_ONLY: 'true', METRICS_TOKEN: TOKEN });
    for (const scrape of [
      await Scrape.from(`${metrics}/metrics`),
      await Scrape.from(`${service.url}/metrics`, { authorization: `Bearer ${TOKEN}` }),
    ]) {
      expect(scrape.value('booking_instance_info', { role: 'worker' })).toBe(1);
    }
  });

  it('say which of the ports is in use', async () => {
    const { service, metrics } = await startMeasured();
    const { port } = new URL(metrics);
    const { code, output } = await runCommand('main', [], {
      DATABASE_URL: database.url,
      PORT: String(await findFreePort()),
      METRICS_PORT: port,
    });
    expect([code, output]).toEqual([1, expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`)]);
    expect(output).toContain('set METRICS_PORT to another one');
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
  });

  it('do not hold up the end: who asks is answered, and who never ends asking is cut', async () => {
    const { service, metrics } = await startMeasured();
    const { port } = new URL(metrics);
    const slow = connectSocket(Number(port), '127.0.0.1');
    slow.on('error', () => undefined);
    const cut = once(slow, 'close');
    slow.write('GET /metrics HTTP/1.1\r\n');
    let answered = 0;
    let isStopped = false;
    const scraping = Array.from({ length: 4 }, async () => {
      while (!isStopped) {
        // Refused once the port is closed; an answer that has begun comes to its end.
        const response = await fetch(`${metrics}/metrics`).catch(() => null);
        if (response === null) return;
        new Scrape(await response.text());
        answered += 1;
      }
    });
    await eventually(() => expect(answered).toBeGreaterThan(10));
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    isStopped = true;
    await Promise.all(scraping);
    await cut;
    expect(service.output()).toBe('');
  });

  it('have no more series for whatever anybody sends', async () => {
    const { service, metrics } = await startMeasured();
    const anything = (): string => randomBytes(6).toString('hex');
    async function sendAnything(methods: string[]): Promise<void> {
      const paths = [`/${anything()}`, `/book/${anything()}`, `/booking/${anything()}`, `/booking/9${Date.now()}`];
      paths.push(`/conference/${anything()}`, `/user/${anything()}/bookings`, `/conferences?topic=${anything()}`);
      for (const path of paths) await (await fetch(service.url + path)).arrayBuffer();
      for (const method of [...methods, anything().toUpperCase()]) {
        await (await fetch(service.url + `/${anything()}`, { method })).arrayBuffer();
      }
      const body = JSON.stringify({ user_id: anything(), name: anything() });
      const headers = { 'content-type': 'application/json' };
      await (await fetch(`${service.url}/book`, { method: 'POST', headers, body })).arrayBuffer();
    }
    await sendAnything(['PUT']);
    // How much memory there is, and what was collected, is not for us to say.
    const seriesNow = async (): Promise<string[]> =>
      (await Scrape.from(`${metrics}/metrics`)).series.filter((name) => name.startsWith('booking_'));
    const before = await seriesNow();
    for (let round = 0; round < 5; round++) await sendAnything(['DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'PURGE']);
    expect(await seriesNow()).toEqual(before);
    expect(before.join()).toContain('/booking/:booking_id');
    expect(before.join()).toContain('"route":"unknown","status":"404"');
  });

  it('do not blame a timer where there is no broker', async () => {
    const { service, metrics } = await startMeasured();
    await missLongAgo(service);
    await eventually(async () => {
      const scrape = await Scrape.from(`${metrics}/metrics`);
      expect(scrape.value('booking_expiry_lateness_seconds_count', { what: 'offer' })).toBe(1);
      expect(scrape.value('booking_expiry_lateness_seconds_sum', { what: 'offer' })).toBeGreaterThan(59);
      expect(scrape.value('booking_timers_made_up_for_total')).toBe(0);
    });
  });

  /** An offer whose deadline was a minute ago, and that nobody has dealt with. */
  async function missLongAgo(service: Service): Promise<void> {
    const world = visit(service);
    try {
      const conference = await world.conference();
      const [first = '', second = ''] = await world.severalUsers(2);
      const confirmed = await world.bookConfirmed(first, conference);
      const next = await world.bookWaitlisted(second, conference, 1);
      await world.cancelActive(confirmed);
      await backstage.query(
        `UPDATE bookings SET confirmation_deadline = now() - interval '1 minute' WHERE booking_id = $1`,
        [next],
      );
    } finally {
      world.api.close();
    }
  }

  describe('of an instance with a broker', () => {
    let queues: Queues;
    let service: Service;
    let metrics: string;
    let world: World;
    let own: Service[];

    beforeAll(async () => {
      queues = await Queues.open(WINDOW_SECONDS);
      services = [];
      ({ service, metrics } = await startMeasured({ ...queues.env, SWEEP_INTERVAL_SECONDS: '0.5' }));
      own = services;
      await queues.whenConsumed();
      world = visit(service);
    });
    afterAll(async () => {
      world.api.close();
      await Promise.all(own.map((each) => each.stop()));
      await queues.close();
    });

    const scrape = (): Promise<Scrape> => Scrape.from(`${metrics}/metrics`);

    /** What these have grown by since, in their order. */
    async function growth(since: Scrape, counts: [name: string, labels?: Record<string, string>][]): Promise<number[]> {
      const now = await scrape();
      return counts.map(([name, labels]) => (now.value(name, labels) ?? 0) - (since.value(name, labels) ?? 0));
    }

    const outcome = (command: string, of: string): [string, Record<string, string>] => [
      'booking_commands_total',
      { command, outcome: of },
    ];
    const reason = (of: string): [string, Record<string, string>] => ['booking_transitions_total', { reason: of }];
    const event = (of: string): [string, Record<string, string>] => ['booking_timers_total', { event: of }];

    it('say what becomes of commands, and of offers', async () => {
      const before = await scrape();
      const conference = await world.conference();
      const [ada = '', bob = '', carl = ''] = await world.severalUsers(3);
      const first = await world.bookConfirmed(ada, conference);
      await world.book(ada, conference);
      const second = await world.bookWaitlisted(bob, conference, 1);
      const third = await world.bookWaitlisted(carl, conference, 2);
      await world.cancelActive(first);
      // Bob misses his offer, Carl declines his, and Bob takes the next one.
      const offered = (bookingId: number) => () => world.expectOpenOffer(bookingId);
      await eventually(offered(third));
      await world.cancelActive(third);
      await eventually(offered(second));
      await world.confirmOffer(second, bob);

      expect(
        await growth(before, [
          outcome('book', 'CONFIRMED'),
          outcome('book', 'ALREADY_BOOKED'),
          outcome('book', 'WAITLISTED'),
          outcome('cancel', 'CANCELED'),
          outcome('confirm', 'CONFIRMED'),
        ]),
      ).toEqual([1, 1, 2, 2, 1]);
      expect(
        await growth(before, [
          reason('booked'),
          reason('joined_waitlist'),
          reason('offered'),
          reason('missed'),
          reason('declined'),
          reason('confirmed'),
        ]),
      ).toEqual([1, 2, 3, 1, 1, 1]);
      // One transaction for each of the six commands that changed something, one for the refused, and one or two looks.
      const [batches = 0, commands = 0, timed = 0, seconds = 0] = await growth(before, [
        ['booking_batch_commands_count'],
        ['booking_batch_commands_sum'],
        ['booking_batch_duration_seconds_count'],
        ['booking_batch_duration_seconds_sum'],
      ]);
      expect(batches).toBeGreaterThanOrEqual(8);
      expect([commands, timed]).toEqual([batches, batches]);
      expect(seconds).toBeGreaterThan(0.001);
      const [missed, late = 0] = await growth(before, [
        ['booking_expiry_lateness_seconds_count', { what: 'offer' }],
        ['booking_expiry_lateness_seconds_sum', { what: 'offer' }],
      ]);
      expect(missed).toBe(1);
      expect(late).toBeLessThan(1);
      const requests = 'booking_http_request_duration_seconds_count';
      expect(
        await growth(before, [
          [requests, { method: 'POST', route: '/book', status: '201' }],
          [requests, { method: 'POST', route: '/book', status: '400' }],
          [requests, { method: 'POST', route: '/user', status: '201' }],
        ]),
      ).toEqual([3, 1, 3]);
      // An offer each, and the start of the conference; those of Carl and Bob may still be on their way.
      await eventually(async () => {
        const [published = 0, handled = 0] = await growth(before, [event('published'), event('handled')]);
        expect([published, handled]).toEqual([4, 3]);
      });
    });

    it('say once what was carried out once', async () => {
      const before = await scrape();
      const conference = await world.conference({ slots: 2 });
      const body = JSON.stringify({ user_id: await world.user(), name: conference.name });
      const headers = { 'content-type': 'application/json', 'idempotency-key': 'metrics' };
      for (const text of [body, body, body.replace(conference.name, 'Another')]) {
        await (await fetch(`${service.url}/book`, { method: 'POST', headers, body: text })).arrayBuffer();
      }
      expect(
        await growth(before, [
          outcome('book', 'CONFIRMED'),
          outcome('book', 'REPLAYED'),
          outcome('book', 'IDEMPOTENCY_KEY_REUSED'),
          reason('booked'),
        ]),
      ).toEqual([1, 1, 1, 1]);
    });

    it('say that a timer came before its time, and how late a start was', async () => {
      const before = await scrape();
      const conference = await world.conference({ startMs: Date.now() + 2_500 });
      const [first = '', second = ''] = await world.severalUsers(2);
      await world.bookConfirmed(first, conference);
      await world.bookWaitlisted(second, conference, 1);
      await eventually(async () => {
        const [rehopped = 0, starts, ended] = await growth(before, [
          event('rehopped'),
          ['booking_expiry_lateness_seconds_count', { what: 'start' }],
          reason('conference_started'),
        ]);
        expect(rehopped).toBeGreaterThanOrEqual(1);
        expect([starts, ended]).toEqual([1, 1]);
      });
    });

    it('say what the sweep made up for, and do not count what came in time', async () => {
      const before = await scrape();
      const madeUpFor: [string, Record<string, string>] = ['booking_timers_made_up_for_total', { what: 'offer' }];
      expect(before.value(...madeUpFor)).toBe(0);
      await missLongAgo(service);
      await eventually(async () => expect(await growth(before, [madeUpFor, reason('missed')])).toEqual([1, 1]));
    });

    it('say what was parked, here and by all, and who consumes', async () => {
      const before = await scrape();
      const connection = await connect(queues.env.RABBITMQ_URL ?? '');
      const channel = await connection.createChannel();
      channel.sendToQueue(`${queues.env.RABBITMQ_QUEUE_PREFIX}.timers`, Buffer.from('no timer'));
      await channel.close();
      await connection.close();
      await eventually(async () => expect(await growth(before, [['booking_messages_parked_total']])).toEqual([1]));
      // The queue is asked every 15 s only; another instance has not asked yet.
      const other = await startMeasured({ ...queues.env, ENABLE_QUEUE_CONSUMERS: 'false' });
      const seen = await eventually(async () => {
        const all = await Scrape.from(`${other.metrics}/metrics`);
        expect(all.value('booking_broker_up')).toBe(1);
        return all;
      });
      expect([seen.value('booking_parked_messages'), seen.value('booking_messages_parked_total')]).toEqual([1, 0]);
      expect(seen.value('booking_timer_consumers')).toBe(0);
      expect(seen.value('booking_instance_info', { role: 'api' })).toBe(1);
      expect((await scrape()).value('booking_timer_consumers')).toBe(1);
    });

    it('are all that the alerts and the dashboard ask for', async () => {
      const names = new Set((await scrape()).samples.map(({ name }) => name));
      const asked = [...readAlerts(), ...readDashboard()]
        .flatMap(({ expr }) => expr.replace(/"[^"]*"/g, '').match(/\b(booking|process|nodejs)_\w+/g) ?? [])
        .filter((name) => !names.has(name));
      expect(asked).toEqual([]);
    });

    it('are scraped by Prometheus, which answers all that the dashboard asks, and sees nothing wrong', async () => {
      const prometheus = await startPrometheus({ app: [new URL(metrics).host] });
      try {
        await eventually(async () => {
          expect(await prometheus.targets()).toEqual([{ job: 'app', health: 'up', lastError: '' }]);
          // Two samples make a rate.
          const [count] = await prometheus.query('count_over_time(up[1m])');
          expect(Number(count?.value[1])).toBeGreaterThanOrEqual(2);
        });
        const empty: string[] = [];
        for (const { title, expr } of readDashboard()) {
          if ((await prometheus.query(expr)).length === 0) empty.push(`${title}: ${expr}`);
        }
        expect(empty).toEqual([]);
        // A message is parked, and the machine may be busy with other tests.
        const expected = ['BookingMessagesParked', 'BookingEventLoopLag'];
        for (const { alert, expr } of readAlerts().filter((each) => !expected.includes(each.alert))) {
          expect([alert, await prometheus.query(expr)]).toEqual([alert, []]);
        }
      } finally {
        await prometheus.stop();
      }
    });
  });
});

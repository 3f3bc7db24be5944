import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../src/database/postgres-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { linesCausedBy, linesOf } from '../support/log-lines.js';
import { type Service, startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { type CollectedSpan, KIND, startTraceCollector, type TraceCollector } from '../support/trace-collector.js';
import { Queues } from './support.js';

const WINDOW_SECONDS = 0.4;
const FAILED = 2;

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

async function send(url: string, path: string, body?: object, headers: object = {}): Promise<Record<string, unknown>> {
  const response = await fetch(url + path, {
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
  });
  return (await response.json()) as Record<string, unknown>;
}

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('a trace', () => {
  let backstage: Backstage;
  let queues: Queues;
  let collector: TraceCollector;
  let service: Service;
  let round = 0;

  beforeAll(async () => {
    backstage = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
    collector = await startTraceCollector();
    service = await startService(
      {
        DATABASE_URL: database.url,
        ...queues.env,
        // Nothing but timers keeps time.
        SWEEP_INTERVAL_SECONDS: '3600',
        LOG_LEVEL: 'debug',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=from-the-environment',
        OTEL_SERVICE_NAME: 'traced-booking',
      },
      { until: 'ready' },
    );
    await queues.whenConsumed();
  });
  afterAll(async () => {
    await service.stop();
    await collector.close();
    await queues.close();
    await backstage.close();
  });

  /** A conference of so many slots, all taken, and as many people and one more in its line. */
  async function stage(slots = 1): Promise<{ id: number; name: string; confirmed: number[] }> {
    const name = `Traced ${++round}`;
    const id = await backstage.addConference(name, slots);
    const bookings: number[] = [];
    for (const user_id of await backstage.addUsers(`traced${round}u`, 2 * slots + 1)) {
      bookings.push(Number((await send(service.url, '/book', { user_id, name })).booking_id));
    }
    return { id, name, confirmed: bookings.slice(0, slots) };
  }

  const spansOf = (traceId: string): CollectedSpan[] => collector.spans.filter((span) => span.traceId === traceId);

  function only(spans: CollectedSpan[], name: string, parent?: CollectedSpan): CollectedSpan {
    const found = spans.filter((span) => span.name === name && (!parent || span.parentSpanId === parent.spanId));
    expect({ name, count: found.length }).toEqual({ name, count: 1 });
    return there(found[0]);
  }

  it('goes from HTTP through the transaction and the queue to the handler, and joins the trace of whoever asked', async () => {
    const { id, confirmed } = await stage();
    const [traceId, parentId] = [hex(16), hex(8)];
    const headers = { traceparent: `00-${traceId}-${parentId}-01`, 'x-request-id': 'traced' };
    await send(service.url, '/cancel', { booking_id: confirmed[0] }, headers);
    // The next offer begins a trace of its own, with a link to where this one ends.
    const next = await eventually(() => {
      const linked = collector.spans.filter(({ links }) => links?.some((link) => link.traceId === traceId));
      expect(linked).toHaveLength(1);
      return there(linked[0]);
    });
    const spans = spansOf(traceId);
    const server = only(spans, 'POST /cancel');
    expect(server).toMatchObject({
      kind: KIND.server,
      parentSpanId: parentId,
      resource: { 'service.name': 'traced-booking' },
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/cancel',
        'http.response.status_code': 200,
        'url.path': '/cancel',
        'client.address': '127.0.0.1',
      },
    });
    const wait = only(spans, 'wait in the box office', server);
    const transaction = only(spans, 'seating transaction', server);
    expect(transaction).toMatchObject({
      kind: KIND.internal,
      attributes: {
        'booking.command': 'cancel',
        'booking.batch_size': 1,
        'booking.transaction_id': expect.any(String) as unknown,
      },
    });
    const publish = only(spans, 'publish confirmation.expired', transaction);
    expect(publish).toMatchObject({ kind: KIND.producer, attributes: { 'booking.conference_id': id } });
    const process = only(spans, 'process confirmation.expired', publish);
    expect(process).toMatchObject({ kind: KIND.consumer, attributes: { 'messaging.system': 'rabbitmq' } });
    only(spans, 'wait in the box office', process);
    const looked = only(spans, 'seating transaction', process);
    expect(looked.attributes).toMatchObject({ 'booking.command': 'expire' });
    expect(spans).toHaveLength(7);
    for (const { status } of spans) expect(status.code).not.toBe(FAILED);

    const begun = (span: CollectedSpan): bigint => BigInt(span.startTimeUnixNano);
    const ended = (span: CollectedSpan): bigint => BigInt(span.endTimeUnixNano);
    expect(begun(wait)).toBeGreaterThanOrEqual(begun(server));
    expect(begun(transaction)).toBe(ended(wait));
    expect(ended(server)).toBeGreaterThanOrEqual(ended(transaction));
    expect(begun(process) - begun(publish)).toBeGreaterThanOrEqual(BigInt(Math.round(WINDOW_SECONDS * 1e9 * 0.9)));

    expect(next).toMatchObject({ name: 'publish confirmation.expired', kind: KIND.producer });
    expect(next.links).toMatchObject([{ traceId, spanId: looked.spanId }]);
    expect(collector.headers[0]).toMatchObject({ 'x-collector-key': 'from-the-environment' });
    // The log leads to the trace: the line of the request, and that of the handler.
    expect(linesCausedBy(service, 'traced').filter((line) => line.trace_id === traceId)).toMatchObject([
      { context: 'Http', span_id: server.spanId },
      { context: 'TimersController', span_id: process.spanId },
    ]);
  });

  it('is of one request each where many share a transaction, which has one number', async () => {
    const { confirmed } = await stage(20);
    const traceIds = confirmed.map(() => hex(16));
    await Promise.all(
      confirmed.map((booking_id, index) =>
        send(service.url, '/cancel', { booking_id }, { traceparent: `00-${traceIds[index] ?? ''}-${hex(8)}-01` }),
      ),
    );
    const transactions = await eventually(() => {
      const found = traceIds.map((traceId) => spansOf(traceId).find(({ name }) => name === 'seating transaction'));
      for (const span of found) expect(span).toBeDefined();
      return found as CollectedSpan[];
    });
    const sizes = new Map<unknown, number>();
    for (const { attributes } of transactions) {
      const number = attributes['booking.transaction_id'];
      sizes.set(number, (sizes.get(number) ?? 0) + 1);
    }
    expect(sizes.size).toBeLessThan(20);
    for (const { attributes } of transactions) {
      expect(attributes['booking.batch_size']).toBe(sizes.get(attributes['booking.transaction_id']));
    }
  });

  it.each([
    ['none', undefined],
    ['no traceparent', 'garbage'],
    ['zeros', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['another version', `01-${hex(16)}-${hex(8)}-01`],
  ])('is a new one where %s came', async (_, traceparent) => {
    const path = `/conference/Untraced${++round}`;
    await send(service.url, path, undefined, traceparent === undefined ? {} : { traceparent });
    const span = await eventually(() => {
      const found = collector.spans.find(({ attributes }) => attributes['url.path'] === path);
      expect(found).toBeDefined();
      return there(found);
    });
    expect(span.parentSpanId ?? '').toBe('');
    expect(span).toMatchObject({ name: 'GET /conference/:name', attributes: { 'http.response.status_code': 404 } });
    expect(span.status.code).not.toBe(FAILED);
    expect(traceparent ?? '').not.toContain(span.traceId);
  });

  it('is not collected where whoever asked does not collect it', async () => {
    const [untold, told] = [hex(16), hex(16)];
    await send(service.url, '/conferences', undefined, { traceparent: `00-${untold}-${hex(8)}-00` });
    await send(service.url, '/conferences', undefined, { traceparent: `00-${told}-${hex(8)}-01` });
    await eventually(() => expect(spansOf(told)).toHaveLength(1));
    expect(spansOf(untold)).toEqual([]);
  });

  it('says where the service made a mistake', async () => {
    const traceId = hex(16);
    await backstage.query('ALTER TABLE conferences RENAME COLUMN location TO hidden');
    try {
      await send(service.url, '/conferences', undefined, { traceparent: `00-${traceId}-${hex(8)}-01` });
    } finally {
      await backstage.query('ALTER TABLE conferences RENAME COLUMN hidden TO location');
    }
    await eventually(() =>
      expect(spansOf(traceId)).toMatchObject([
        { status: { code: FAILED }, attributes: { 'http.response.status_code': 500, 'error.type': '500' } },
      ]),
    );
  });

  it('is not of the health', async () => {
    await send(service.url, '/health/live');
    const traceId = hex(16);
    await send(service.url, '/conferences', undefined, { traceparent: `00-${traceId}-${hex(8)}-01` });
    await eventually(() => expect(spansOf(traceId)).toHaveLength(1));
    expect(collector.spans.filter(({ name }) => name.includes('health'))).toEqual([]);
  });
});

describe('traces', () => {
  it('are sent when the service stops', async () => {
    const collector = await startTraceCollector();
    const service = await startService(
      { DATABASE_URL: database.url, OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` },
      { until: 'ready' },
    );
    try {
      await send(service.url, '/conferences');
      expect(await service.stop()).toEqual({ code: 0, signal: null });
      expect(collector.spans.map(({ name }) => name)).toContain('GET /conferences');
      expect(collector.spans[0]?.resource).toMatchObject({ 'service.name': 'conference-booking' });
    } finally {
      await collector.close();
    }
  });

  /** An endpoint that takes connections and says nothing. */
  async function startSilentServer(): Promise<{ port: number; close: () => void }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return {
      port: (server.address() as AddressInfo).port,
      close: () => {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    };
  }

  it.each(['is closed', 'never answers'])('harm nobody where their endpoint %s, and that is said once', async (how) => {
    const silent = how === 'is closed' ? null : await startSilentServer();
    const port = silent?.port ?? (await findFreePort());
    const service = await startService(
      { DATABASE_URL: database.url, OTEL_EXPORTER_OTLP_ENDPOINT: `http://user:hush@127.0.0.1:${port}` },
      { until: 'ready' },
    );
    const told = (): number =>
      linesOf(service).filter(({ context, level }) => context === 'Traces' && level === 40).length;
    try {
      // Sent every second; what is not answered is given up after 5 s.
      await eventually(
        async () => {
          const startedAt = performance.now();
          expect(await send(service.url, '/conferences')).toEqual(expect.any(Array));
          expect(performance.now() - startedAt).toBeLessThan(1_000);
          expect(told()).toBe(1);
        },
        { timeoutMs: 20_000, intervalMs: 100 },
      );
      const stoppedAt = performance.now();
      expect(await service.stop()).toEqual({ code: 0, signal: null });
      expect(performance.now() - stoppedAt).toBeLessThan(4_000);
      expect(told()).toBe(1);
      expect(service.output()).toContain(`Traces cannot be sent to 127.0.0.1:${port} (`);
      expect(service.output()).not.toContain('hush');
    } finally {
      await service.stop();
      silent?.close();
    }
  });

  it('load nothing where none are asked for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'booking-loaded-'));
    try {
      const loaded = async (name: string, env: Record<string, string>): Promise<string[]> => {
        const into = join(folder, name);
        const service = await startService(
          { DATABASE_URL: database.url, NODE_V8_COVERAGE: into, ...env },
          { until: 'ready' },
        );
        await send(service.url, '/conferences');
        expect(await service.stop()).toEqual({ code: 0, signal: null });
        const [file = ''] = readdirSync(into);
        const { result } = JSON.parse(readFileSync(join(into, file), 'utf8')) as { result: { url: string }[] };
        return result.map(({ url }) => url).filter((url) => /@opentelemetry|open-telemetry/.test(url));
      };
      expect(await loaded('without', {})).toEqual([]);
      const endpoint = `http://127.0.0.1:${await findFreePort()}`;
      expect(await loaded('with', { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })).not.toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('There is none');
  return value;
}

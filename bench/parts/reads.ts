import { get } from 'node:http';
import { type Bench, mostResidentMb, residentMb, type Service } from '../bench.js';
import { lookUp } from '../bookings.js';
import { fillBareHalls, fillHalls, settle } from '../halls.js';
import { compare, limit, median, type Row } from '../rows.js';

const HALLS = 500;
/** Of each hall, and as many again wait. */
const CONFIRMED = 50;
const BOOKINGS = 2 * HALLS * CONFIRMED;
const LINE = 100_000;

const LAST_IN_LINE_LOOKS = 100;
const LAST_IN_LINE_AT_MOST_MS = 5;
const FIRST_BYTE_AT_MOST_MS = 200;
const GROWTH_AT_MOST_MB = 50;

/** Bookings one by one, the last one of a long line, and the whole of that line. */
export async function measureReads(bench: Bench): Promise<Row[]> {
  return [...(await measureLookUps(bench)), ...(await measureLongLine(bench))];
}

async function measureLookUps(bench: Bench): Promise<Row[]> {
  const bare = await bench.openBare(['together']);
  const service = await bench.openService();
  await fillBareHalls(bare.together.query, HALLS, CONFIRMED);
  await fillHalls(service.query, {
    prefix: 'Hall',
    conferences: HALLS,
    confirmed: CONFIRMED,
    offered: 0,
    waiting: CONFIRMED,
  });
  await Promise.all([settle(bare.together.query), settle(service.query)]);
  const load = { connections: 64, bookings: BOOKINGS };
  const results = await bench.inTurn({
    bare: (turn) => lookUp(bench.load, bare.together, turn, load),
    ours: (turn) => lookUp(bench.load, service, turn, load),
  });
  return bench.leave(service, [
    compare(
      'GET /booking/{id}, 64 connections',
      results.ours,
      { what: 'bare, by primary key', results: results.bare },
      0.5,
    ),
  ]);
}

async function measureLongLine(bench: Bench): Promise<Row[]> {
  const { rounds } = bench.options;
  const service = await bench.openService();
  await fillHalls(service.query, { prefix: 'Line', conferences: 1, confirmed: 1, offered: 0, waiting: LINE });
  await settle(service.query);
  const { pid } = service.house.instance;
  const looks: number[] = [];
  const firstBytes: number[] = [];
  const growths: number[] = [];
  await timeLastInLine(service);
  // The first list loads what every later one needs, too.
  await readList(service, 'Line 1');
  for (let round = 0; round < rounds; round++) {
    looks.push(await timeLastInLine(service));
    const beforeMb = await residentMb(pid);
    const { result, mostMb } = await mostResidentMb(pid, () => readList(service, 'Line 1'), 20);
    if (result.rows !== LINE + 1) throw new Error(`The list of ${LINE + 1} bookings came with ${result.rows}`);
    firstBytes.push(result.firstByteMs);
    growths.push(mostMb - beforeMb);
  }
  return bench.leave(service, [
    // A bar on what the database takes: it is kept where the whole request, with the database in it, keeps it.
    limit('GET /booking/{id} of the 100,000th in line, whole request', looks, {
      unit: 'ms',
      bar: { atMost: LAST_IN_LINE_AT_MOST_MS },
    }),
    limit('list of 100,000 bookings, first byte', firstBytes, { unit: 'ms', bar: { atMost: FIRST_BYTE_AT_MOST_MS } }),
    limit('list of 100,000 bookings, growth of resident memory', growths, {
      unit: 'MB',
      bar: { atMost: GROWTH_AT_MOST_MB },
      of: 'max',
    }),
  ]);
}

/** How long it takes to look up the last one, ms: the median of many, one after the other. */
async function timeLastInLine({ house }: Service): Promise<number> {
  const durations: number[] = [];
  for (let look = 0; look < LAST_IN_LINE_LOOKS; look++) {
    const { status, body, durationMs } = await house.api.send('GET', `/booking/${LINE + 1}`);
    const { waitlist_position: position } = body as { waitlist_position: unknown };
    if (status !== 200 || position !== LINE) throw new Error(`The last one in line is told ${JSON.stringify(body)}`);
    durations.push(durationMs);
  }
  return median(durations);
}

/** Reads a whole list, as fast as it comes. */
async function readList({ ports }: Service, conference: string): Promise<{ firstByteMs: number; rows: number }> {
  const sentAt = performance.now();
  return new Promise((resolve, reject) => {
    const path = `/conference/${encodeURIComponent(conference)}/bookings`;
    get({ host: '127.0.0.1', port: ports[0], path, agent: false }, (response) => {
      let firstByteMs = NaN;
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => {
        if (pieces.length === 0) firstByteMs = performance.now() - sentAt;
        pieces.push(piece);
      });
      response.on('end', () => {
        const list: unknown = JSON.parse(Buffer.concat(pieces).toString());
        resolve({ firstByteMs, rows: Array.isArray(list) ? list.length : 0 });
      });
      response.on('error', reject);
    }).on('error', reject);
  });
}

import type { Bench, Side, Turn } from '../bench.js';
import { book, bookAt, register } from '../bookings.js';
import { fillHalls } from '../halls.js';
import type { LoadResult } from '../load/job.js';
import { compare, limitP99, type Row } from '../rows.js';

const MANY = 256;
const FEW = 64;
const FEW_P99_AT_MOST_MS = 60;

const WARM_UP_S = 3;
const NOT_SLOWER = 1;

const TOGETHER = 'bare, together';
const EACH = 'bare, each';

/** Everybody wants the one conference. */
export async function measureHot(bench: Bench): Promise<Row[]> {
  const bare = await bench.openBare(['together', 'each']);
  const service = await bench.openService();
  const run =
    (side: Side, connections: number) =>
    (turn: Turn): Promise<LoadResult> =>
      book(bench.load, side, turn, { connections, conferences: 1 });
  const many = await bench.inTurn({
    each: run(bare.each, MANY),
    together: run(bare.together, MANY),
    ours: run(service, MANY),
  });
  const few = await bench.inTurn({ together: run(bare.together, FEW), ours: run(service, FEW) });
  return bench.leave(service, [
    compare('book, one conference, 256 connections', many.ours, { what: TOGETHER, results: many.together }, 1),
    compare('book, one conference, 256 connections', many.ours, { what: EACH, results: many.each }, 8),
    compare('book, one conference, 64 connections', few.ours, { what: TOGETHER, results: few.together }, 0.9),
    limitP99('book, one conference, 64 connections, p99', few.ours, FEW_P99_AT_MOST_MS),
  ]);
}

/** 2,000 conferences in turn. */
export async function measureCold(bench: Bench): Promise<Row[]> {
  const conferences = 2_000;
  const bare = await bench.openBare(['together']);
  const service = await bench.openService();
  const measure = (connections: number): Promise<Record<'together' | 'ours', LoadResult[]>> =>
    bench.inTurn({
      together: (turn) => book(bench.load, bare.together, turn, { connections, conferences }),
      ours: (turn) => book(bench.load, service, turn, { connections, conferences }),
    });
  const many = await measure(MANY);
  const few = await measure(FEW);
  return bench.leave(service, [
    compare('book, 2,000 conferences, 256 connections', many.ours, { what: TOGETHER, results: many.together }, 1),
    compare('book, 2,000 conferences, 64 connections', few.ours, { what: TOGETHER, results: few.together }, 0.9),
    limitP99('book, 2,000 conferences, 64 connections, p99', few.ours, FEW_P99_AT_MOST_MS),
  ]);
}

export async function measureRegister(bench: Bench): Promise<Row[]> {
  const bare = await bench.openBare(['together']);
  const service = await bench.openService();
  const results = await bench.inTurn({
    bare: (turn) => register(bench.load, bare.together, turn, FEW),
    ours: (turn) => register(bench.load, service, turn, FEW),
  });
  return bench.leave(service, [
    compare('register users, 64 connections', results.ours, { what: 'bare', results: results.bare }, 0.7),
  ]);
}

/** Booking where 100,000 wait already, against booking where nobody does. */
export async function measureLongLine(bench: Bench): Promise<Row[]> {
  const service = await bench.openService();
  await fillHalls(service.query, { prefix: 'Line', conferences: 1, confirmed: 1, offered: 0, waiting: 100_000 });
  const results = await bench.inTurn({
    none: (turn) => book(bench.load, service, turn, { connections: MANY, conferences: 1 }),
    many: (turn) => bookAt(bench.load, service, turn, { connections: MANY, conferences: 1, prefix: 'Line' }),
  });
  return bench.leave(service, [
    compare('book with 100,000 waiting', results.many, { what: 'with none waiting', results: results.none }, 0.9),
  ]);
}

/** Two instances on one database against one, on one conference. */
export async function measureTwoInstances(bench: Bench): Promise<Row[]> {
  const service = await bench.openService();
  const second = await bench.ground.launch(service.house.variables);
  await second.whenReady('up');
  const both = { ...service, ports: [...service.ports, second.port] };
  // Each has been alone for a while: the turn that does not count would give the second one half of what the first one gets.
  for (const port of both.ports) {
    const turn = { tag: bench.nextTag(), seconds: WARM_UP_S };
    await book(bench.load, { ...service, ports: [port] }, turn, { connections: MANY, conferences: 1 });
  }
  const results = await bench.inTurn({
    one: (turn) => book(bench.load, service, turn, { connections: MANY, conferences: 1 }),
    two: (turn) => book(bench.load, both, turn, { connections: MANY, conferences: 1 }),
  });
  const rows = [
    compare(
      'book, one conference, two instances',
      results.two,
      { what: 'one instance', results: results.one },
      NOT_SLOWER,
    ),
  ];
  await second.stop();
  return bench.leave(service, rows);
}

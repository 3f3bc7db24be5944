import { Bench, type Service, type Side, type Turn } from '../../bench/bench.js';
import { book, lookUp, register } from '../../bench/bookings.js';
import { fillBareHalls, fillHalls, settle } from '../../bench/halls.js';
import type { LoadResult } from '../../bench/load/job.js';
import { LoadGenerator } from '../../bench/load/load-generator.js';
import { compare } from '../../bench/rows.js';
import { Ground, type Server } from '../figures/ground.js';

const ROUNDS = 5;
const SECONDS = 0.4;
const MANY = 256;
const FEW = 64;

/** In each hall so many have a slot, and as many wait. */
const HALLS = { count: 20, confirmed: 50, bookings: 2_000 };

// Half of the bars of `npm run bench`: what no change may fall below unnoticed. On a PostgreSQL of its own, as a commit that
// waits for the disk is part of the work; the one of the other tests does not wait.
describe('the service, against the bare server', () => {
  let ground: Ground<Server>;
  let bench: Bench;
  let service: Service;
  let bare: Side;

  beforeAll(async () => {
    const brokerUrl = process.env.TEST_RABBITMQ_URL;
    ground = Ground.startOn({ brokerUrl }, (message) => process.stderr.write(`${message}\n`));
    const load = await LoadGenerator.start();
    ground.atEnd(() => load.stop());
    bench = new Bench(ground, load, { rounds: ROUNDS, seconds: SECONDS }, () => undefined);
    service = await bench.openService();
    bare = (await bench.openBare(['together'])).together;
    // First, so that the ids are 1 to N in both databases.
    const { count, confirmed } = HALLS;
    await fillBareHalls(bare.query, count, confirmed);
    await fillHalls(service.query, { prefix: 'Hall', conferences: count, confirmed, offered: 0, waiting: confirmed });
    await Promise.all([settle(bare.query), settle(service.query)]);
  });
  afterAll(async () => {
    await ground.close();
  });

  /** Fails where the service's rate is less than half of what it is to be, as a part of the bare server's. */
  async function expectHalfOf(bar: number, run: (side: Side, turn: Turn) => Promise<LoadResult>): Promise<void> {
    const { ours, other } = await bench.inTurn({
      other: (turn) => run(bare, turn),
      ours: (turn) => run(service, turn),
    });
    const row = compare('', ours, { what: 'the bare server', results: other }, bar / 2);
    const ratio = row.ratio?.toFixed(2) ?? '';
    process.stdout.write(`  ${expect.getState().currentTestName ?? ''}: ${ratio} of its rate\n`);
    expect({ ratio, verdict: row.verdict, why: row.why }).toEqual({ ratio, verdict: 'met', why: null });
  }

  it('books one conference at 256 connections', async () => {
    await expectHalfOf(1, (side, turn) => book(bench.load, side, turn, { connections: MANY, conferences: 1 }));
  });

  it('books 2,000 conferences at 256 connections', async () => {
    await expectHalfOf(1, (side, turn) => book(bench.load, side, turn, { connections: MANY, conferences: 2_000 }));
  });

  it('registers users at 64 connections', async () => {
    await expectHalfOf(0.7, (side, turn) => register(bench.load, side, turn, FEW));
  });

  it('looks up bookings at 64 connections', async () => {
    const { bookings } = HALLS;
    await expectHalfOf(0.5, (side, turn) => lookUp(bench.load, side, turn, { connections: FEW, bookings }));
  });
});

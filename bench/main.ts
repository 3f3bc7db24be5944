import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../src/cli/client-program.js';
import { Ground } from '../test/figures/ground.js';
import { type BenchOptions, parseBenchArguments, type PartName, PARTS, USAGE } from './arguments.js';
import { Bench } from './bench.js';
import { renderChart } from './chart.js';
import { LoadGenerator } from './load/load-generator.js';
import { describeMachine, type Machine } from './machine.js';
import { measureCold, measureHot, measureLongLine, measureRegister, measureTwoInstances } from './parts/booking.js';
import { measureGuarded } from './parts/guarded.js';
import { measureCancel, measureStart } from './parts/life.js';
import { measureOffers } from './parts/offers.js';
import { measureReads } from './parts/reads.js';
import { measureRush } from './parts/rush.js';
import { failures, renderRows } from './report.js';
import type { Row } from './rows.js';

const RESULTS = join(import.meta.dirname, 'results');

const MEASURES: Record<PartName, (bench: Bench) => Promise<Row[]>> = {
  'book-hot': measureHot,
  'book-cold': measureCold,
  register: measureRegister,
  reads: measureReads,
  rush: measureRush,
  'long-line': measureLongLine,
  'two-instances': measureTwoInstances,
  guarded: measureGuarded,
  start: measureStart,
  cancel: measureCancel,
  offers: measureOffers,
};

function writeResults(rows: readonly Row[], machine: Machine, { rounds, seconds }: BenchOptions): void {
  const date = new Date().toISOString().slice(0, 10);
  mkdirSync(RESULTS, { recursive: true });
  const content = { date, rounds, seconds, machine, rows };
  writeFileSync(join(RESULTS, `${date}.json`), `${JSON.stringify(content, null, 2)}\n`);
  const caption =
    `${date}: ${machine.cores} cores (${machine.cpu}), Node.js ${machine.node}, PostgreSQL ${machine.postgres}; ` +
    `the median of ${rounds} rounds of ${seconds} s`;
  writeFileSync(join(RESULTS, 'latest.svg'), renderChart(rows, caption));
}

async function bench(options: BenchOptions): Promise<number> {
  const [busy = 0] = loadavg();
  console.log(`load average ${busy.toFixed(1)}; starting what is not there of PostgreSQL and RabbitMQ …`);
  const say = (message: string): void => console.log(message);
  const { DATABASE_URL, RABBITMQ_URL } = process.env;
  const ground = Ground.startOn({ postgresUrl: DATABASE_URL, brokerUrl: RABBITMQ_URL }, say);
  const endOnSignal = (signal: NodeJS.Signals): void => {
    // With an exit, and not by the signal: what could not be ended in order is killed by those who wait for it.
    void ground.close().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  process.on('SIGINT', endOnSignal).on('SIGTERM', endOnSignal);
  try {
    const load = await LoadGenerator.start();
    ground.atEnd(() => load.stop());
    const machine = await describeMachine((await ground.postgres).url);
    const rows: Row[] = [];
    for (const part of options.parts) {
      const startedAt = performance.now();
      console.log(`${part} …`);
      rows.push(...(await MEASURES[part](new Bench(ground, load, options, say))));
      console.log(`  ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    }
    const sentences = failures(rows);
    console.log([renderRows(rows), ...sentences].join('\n'));
    if (options.parts.length === PARTS.length) writeResults(rows, machine, options);
    return sentences.length === 0 ? 0 : 1;
  } finally {
    await ground.close();
    process.off('SIGINT', endOnSignal).off('SIGTERM', endOnSignal);
  }
}

await runProgram({ usage: USAGE, parse: parseBenchArguments, run: bench });

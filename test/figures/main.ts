import { availableParallelism, loadavg } from 'node:os';
import { runProgram } from '../../src/cli/client-program.js';
import { type FiguresOptions, parseFiguresArguments, USAGE } from './arguments.js';
import { Ground } from './ground.js';
import { measureLateness } from './lateness.js';
import { measureRecovery } from './recovery.js';
import { failures, type Figure, renderFigures } from './report.js';

async function measure({ seconds, parts }: FiguresOptions): Promise<number> {
  const [load = 0] = loadavg();
  console.log(`${availableParallelism()} cores, load average ${load.toFixed(1)}; starting PostgreSQL and RabbitMQ …`);
  const ground = Ground.start((message) => console.log(message));
  const endOnSignal = (signal: NodeJS.Signals): void => {
    // With an exit, and not by the signal: what could not be ended in order is killed by those who wait for it.
    void ground.close().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  process.on('SIGINT', endOnSignal).on('SIGTERM', endOnSignal);
  try {
    const figures: Figure[] = [];
    for (const part of parts) {
      const measuring = part === 'lateness' ? measureLateness(ground, seconds) : measureRecovery(ground);
      for await (const figure of measuring) {
        figures.push(figure);
        console.log(`measured: ${figure.what}`);
      }
    }
    const sentences = failures(figures);
    console.log([renderFigures(figures), ...sentences].join('\n'));
    return sentences.length === 0 ? 0 : 1;
  } finally {
    await ground.close();
    process.off('SIGINT', endOnSignal).off('SIGTERM', endOnSignal);
  }
}

await runProgram({ usage: USAGE, parse: parseFiguresArguments, run: measure });

import { parseTextOptions, parseWholeNumber } from '../../src/cli/client-program.js';

export interface ChaosOptions {
  /** How long the load runs, s; longer where a fault needs it. */
  seconds: number;
  /** How many faults are injected. */
  faults: number;
  seed: number;
}

export const USAGE = `Usage: npm run chaos -- [--seconds 60] [--faults 20] [--seed N]

Starts a PostgreSQL, a RabbitMQ, three API and two worker instances of its own on loopback, puts them under load, breaks
them by a plan, and judges what is left by the rules. Fails when one is broken.

  --seconds  how long the load runs, from 10 to 3600 (default 60); then it takes some 30 s more
  --faults   how many faults, from 1 to 1000 (default 20); from 19 on every kind is among them
  --seed     a whole number that makes the plan repeat (default: another one each time; it is printed)
  --help     this text`;

const LARGEST_SEED = 2 ** 32 - 1;

/** Throws UsageError. */
export function parseChaosArguments(args: string[]): ChaosOptions {
  const { seconds = '60', faults = '20', seed } = parseTextOptions(args, ['seconds', 'faults', 'seed']);
  return {
    seconds: parseWholeNumber('seconds', seconds, 10, 3_600),
    faults: parseWholeNumber('faults', faults, 1, 1_000),
    seed:
      seed === undefined
        ? Math.floor(Math.random() * (LARGEST_SEED + 1))
        : parseWholeNumber('seed', seed, 0, LARGEST_SEED),
  };
}

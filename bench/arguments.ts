import { parseTextOptions, parseWholeNumber, UsageError } from '../src/cli/client-program.js';

export const PARTS = [
  'book-hot',
  'book-cold',
  'register',
  'reads',
  'rush',
  'long-line',
  'two-instances',
  'guarded',
  'start',
  'cancel',
  'offers',
] as const;
export type PartName = (typeof PARTS)[number];

export interface BenchOptions {
  /** How often everything is measured, in turn; the median counts. */
  rounds: number;
  /** How long each server is under load in a round, s. */
  seconds: number;
  parts: readonly PartName[];
}

export const USAGE = `Usage: npm run bench -- [--rounds 5] [--seconds 3] [--only ${PARTS.join('|')}]

Measures the service against a bare server written by hand, in turn on one PostgreSQL, and prints a table with the bars
that are to be kept. The whole of it takes a quarter of an hour, and is written to bench/results. Where DATABASE_URL and
RABBITMQ_URL are set it uses those servers, in databases and queues of its own that it deletes; else it starts its own.

  --rounds   how often everything is measured, from 1 to 20 (default 5)
  --seconds  how long each server is under load in a round, from 1 to 60 (default 3)
  --only     one part; then nothing is written
  --help     this text

Its exit code is 1 where a bar is missed, or a figure does not count.`;

/** Throws UsageError. */
export function parseBenchArguments(args: string[]): BenchOptions {
  const { rounds = '5', seconds = '3', only } = parseTextOptions(args, ['rounds', 'seconds', 'only']);
  return {
    rounds: parseWholeNumber('rounds', rounds, 1, 20),
    seconds: parseWholeNumber('seconds', seconds, 1, 60),
    parts: only === undefined ? PARTS : [parsePart(only)],
  };
}

function parsePart(text: string): PartName {
  const part = PARTS.find((each) => each === text);
  if (part === undefined) throw new UsageError(`Give --only one of ${PARTS.join(', ')}, not "${text}".`);
  return part;
}

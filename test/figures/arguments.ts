import { parseTextOptions, parseWholeNumber, UsageError } from '../../src/cli/client-program.js';

const PARTS = ['lateness', 'recovery'] as const;
export type Part = (typeof PARTS)[number];

export interface FiguresOptions {
  /** How long 100 offers a second are measured, s. */
  seconds: number;
  parts: readonly Part[];
}

export const USAGE = `Usage: npm run figures -- [--seconds 20] [--only lateness|recovery]

Starts a PostgreSQL and a RabbitMQ of its own on loopback, and measures on real processes how late offers expire and how
soon the service is back after its broker, or its database, was killed. Fails when a figure misses its bar.

  --seconds  how long 100 offers a second are measured, from 2 to 600 (default 20)
  --only     lateness, or recovery (default: both, in less than 4 minutes)
  --help     this text`;

/** Throws UsageError. */
export function parseFiguresArguments(args: string[]): FiguresOptions {
  const { seconds = '20', only } = parseTextOptions(args, ['seconds', 'only']);
  return {
    seconds: parseWholeNumber('seconds', seconds, 2, 600),
    parts: only === undefined ? PARTS : [parsePart(only)],
  };
}

function parsePart(text: string): Part {
  const part = PARTS.find((each) => each === text);
  if (part === undefined) throw new UsageError(`Give --only one of ${PARTS.join(' and ')}, not "${text}".`);
  return part;
}

import { parseArgs } from 'node:util';
import { parseWholeNumber, UsageError } from '../client-program.js';
import { parseDate } from './event-times.js';

export const DEFAULT_SLOTS = 100;
const MAX_SLOTS = 1_000_000;

export const USAGE = `usage: npm run import -- FILE.xml [--starts-on YYYY-MM-DD] [--slots N]

Creates a conference for every event of a schedule in the XML format of frab and pretalx.
  --starts-on  moves the schedule by whole days so that its first day falls there
  --slots      slots of each conference, 1 to ${MAX_SLOTS} (default ${DEFAULT_SLOTS})`;

export interface ImportOptions {
  file: string;
  /** Midnight in UTC, milliseconds since 1970; null: the schedule stays where it is. */
  startsOn: number | null;
  slots: number;
}

/** @throws UsageError with one sentence that says what to change */
export function parseImportOptions(args: string[]): ImportOptions {
  const { positionals, values } = parse(args);
  const [file, ...others] = positionals;
  if (file === undefined || file === '') throw new UsageError('Give the XML file of a schedule.');
  if (others.length > 0)
    throw new UsageError(`Give one file, not ${positionals.length}: import them one after the other.`);
  return {
    file,
    startsOn: once('starts-on', values['starts-on'], parseStartsOn) ?? null,
    slots: once('slots', values.slots, (text) => parseWholeNumber('slots', text, 1, MAX_SLOTS)) ?? DEFAULT_SLOTS,
  };
}

function parse(args: string[]): { positionals: string[]; values: { 'starts-on'?: string[]; slots?: string[] } } {
  const option = { type: 'string', multiple: true } as const;
  try {
    return parseArgs({ args, allowPositionals: true, options: { 'starts-on': option, slots: option } });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('ERR_PARSE_ARGS_') !== true) throw error;
    // Of node's message the first sentence says what is wrong; the rest explains how to pass odd values.
    const [sentence = message] = message.split(/\. |\n/);
    throw new UsageError(`${sentence.replace(/\.$/, '')}: give the options as below.`);
  }
}

function once<T>(name: string, given: string[] | undefined, read: (text: string) => T): T | undefined {
  if (given !== undefined && given.length > 1) throw new UsageError(`Give --${name} only once.`);
  return given?.[0] === undefined ? undefined : read(given[0]);
}

function parseStartsOn(text: string): number {
  const at = parseDate(text);
  if (at === null) throw new UsageError(`Give --starts-on a day that exists, as YYYY-MM-DD, not "${text}".`);
  return at;
}

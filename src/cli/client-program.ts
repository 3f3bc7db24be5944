import { parseArgs, type ParseArgsConfig } from 'node:util';

/** Why a program cannot do its work: the message is one sentence for its user. */
export class CannotRun extends Error {}

/** A mistake in the arguments: the message is one sentence that says what to change. */
export class UsageError extends CannotRun {}

export const DEFAULT_URL = 'http://127.0.0.1:8080';

interface Program<Options> {
  usage: string;
  /** Throws UsageError. */
  parse: (args: string[]) => Options;
  /** Resolves to the exit code. Throws CannotRun. */
  run: (options: Options) => Promise<number>;
}

/** Runs a program on the arguments of this process and sets its exit code: 1 with one sentence where it cannot run. */
export async function runProgram<Options>({ usage, parse, run }: Program<Options>): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return;
  }
  try {
    process.exitCode = await run(parse(args));
  } catch (error) {
    if (!(error instanceof CannotRun)) throw error;
    console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : error.message);
    process.exitCode = 1;
  }
}

/**
 * The values of options that all take a text.
 * Throws UsageError for an unknown option, a value that is missing, an option given twice and an argument without one.
 */
export function parseTextOptions<Name extends string>(args: string[], names: Name[]): Partial<Record<Name, string>> {
  const options: ParseArgsConfig['options'] = Object.fromEntries(
    names.map((name) => [name, { type: 'string', multiple: true }]),
  );
  const values = readOptions(args, options);
  const texts: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const given = values[name];
    if (!Array.isArray(given)) continue;
    if (given.length > 1) throw new UsageError(`Give --${name} only once.`);
    const [text] = given;
    if (typeof text === 'string') texts[name] = text;
  }
  return texts;
}

/** Throws UsageError for anything but an absolute http or https address without a query. */
export function parseServiceUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(`Give --url an http or https address such as ${DEFAULT_URL}, not "${text}".`);
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new UsageError('Give --url an address without a user name, a query and a fragment.');
  }
  return url;
}

/** Throws UsageError for anything but a whole number from `min` to `max` in decimal digits. */
export function parseWholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`Give --${name} a whole number from ${min} to ${max}, not "${text}".`);
  }
  return value;
}

function readOptions(args: string[], options: ParseArgsConfig['options']): ReturnType<typeof parseArgs>['values'] {
  try {
    return parseArgs({ args, options: options ?? {}, allowPositionals: false, strict: true }).values;
  } catch (error) {
    if (!isParseError(error)) throw error;
    // Of node's message the first sentence says what is wrong; the rest explains how to pass odd values.
    const [sentence = error.message] = error.message.split(/\. |\n/);
    throw new UsageError(`${sentence.replace(/\.$/, '')}: give the options as below.`);
  }
}

function isParseError(error: unknown): error is { message: string } {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    String(error.code).startsWith('ERR_PARSE_ARGS_') &&
    'message' in error
  );
}

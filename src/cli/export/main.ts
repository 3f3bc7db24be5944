import 'reflect-metadata';
import { loadEnvironment } from '../../config/load.js';
import { CannotRun, parseTextOptions, runProgram, UsageError } from '../client-program.js';
import { openDatabase, toSentence } from '../open-database.js';
import { type Before, exportArchive } from './archive-reader.js';

const USAGE = `usage: npm run --silent export -- [--before YYYY-MM-DD] [--delete]

Writes the archive of bookings and their transitions to standard output, one JSON object a line.
  --before  only conferences that ended before this day, in UTC
  --delete  delete from the archive what has been written`;

interface Options {
  before: Before;
  isDeleting: boolean;
}

function parseOptions(args: string[]): Options {
  const isDeleting = args.includes('--delete');
  const { before = null } = parseTextOptions(
    args.filter((arg) => arg !== '--delete'),
    ['before'],
  );
  if (before === null || isDay(before)) return { before, isDeleting };
  throw new UsageError(`Give --before a day such as 2027-03-01, not "${before}".`);
}

function isDay(text: string): boolean {
  const isWellFormed = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const day = new Date(`${text}T00:00:00Z`);
  // A day that does not exist is another one, or none.
  return isWellFormed && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

/** Resolves when the lines have left this process: as slow as whoever reads them. */
function write(lines: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${lines.join('\n')}\n`, (error) => {
      if (error) reject(new CannotRun(`The output cannot be written (${error.message}): what was not is still there.`));
      else resolve();
    });
  });
}

async function run({ before, isDeleting }: Options): Promise<number> {
  // Each write is told of it.
  process.stdout.on('error', () => undefined);
  const database = await openDatabase(loadEnvironment('command'), { log: console.error, migrate: false });
  try {
    const { bookings, transitions } = await exportArchive(database.dataSource, { before, isDeleting, write });
    console.error(
      `exported ${bookings} bookings and ${transitions} transitions${isDeleting ? ', and deleted them' : ''}`,
    );
    return 0;
  } catch (error) {
    throw toSentence(error, database);
  } finally {
    await database.close();
  }
}

await runProgram({ usage: USAGE, parse: parseOptions, run });

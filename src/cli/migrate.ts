import 'reflect-metadata';
import { loadEnvironment } from '../config/load.js';
import { revertMigration, runMigrations } from '../database/migrate.js';
import { runProgram, UsageError } from './client-program.js';
import { locateDatabase, toSentence } from './open-database.js';

const USAGE = `usage: npm run migration:run      brings the database up to what this version needs
       npm run migration:revert   takes back the newest migration`;

type Direction = 'run' | 'revert';

function parseDirection(args: string[]): Direction {
  const [direction] = args;
  if (args.length === 1 && (direction === 'run' || direction === 'revert')) return direction;
  throw new UsageError('Say either run or revert, and nothing else.');
}

async function migrate(direction: Direction): Promise<number> {
  const database = await locateDatabase(loadEnvironment('command'), console.error);
  try {
    const { done } = direction === 'run' ? await runMigrations(database.url) : await revertMigration(database.url);
    for (const name of done) console.log(`${direction === 'run' ? 'ran' : 'took back'} ${name}`);
    if (done.length === 0) console.log(direction === 'run' ? 'nothing to do: up to date' : 'nothing to take back');
    return 0;
  } catch (error) {
    throw toSentence(error, database);
  } finally {
    await database.close();
  }
}

await runProgram({ usage: USAGE, parse: parseDirection, run: migrate });

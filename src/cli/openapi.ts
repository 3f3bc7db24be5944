import 'reflect-metadata';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createApplication } from '../application.js';
import { parseEnvironment } from '../config/environment.js';
import { openApiDocument } from '../openapi.js';
import { runProgram, UsageError } from './client-program.js';

const FILE = 'docs/openapi.json';

const USAGE = `usage: npm run openapi              writes the API's document to ${FILE}
       npm run openapi -- --check   fails where that file is out of date`;

function parseOptions(args: string[]): { isCheck: boolean } {
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) throw new UsageError(`Leave out "${unknown}": the only option is --check.`);
  return { isCheck: args.includes('--check') };
}

async function writeDocument({ isCheck }: { isCheck: boolean }): Promise<number> {
  // Nothing is connected: a document needs the routes, and no database.
  const app = await createApplication(
    parseEnvironment({
      DATABASE_URL: 'postgres://nowhere/none',
      LOG_LEVEL: 'silent',
      // All that a client may meet with.
      AUTH_MODE: 'jwt',
      JWT_SECRET: 'not used: nobody calls this application',
    }),
    false,
  );
  await app.init();
  const document = `${JSON.stringify(openApiDocument(app), null, 2)}\n`;
  await app.close();
  if (isCheck) {
    if (existsSync(FILE) && readFileSync(FILE, 'utf8') === document) return 0;
    console.error(`${FILE} is out of date: run \`npm run openapi\` and commit it.`);
    return 1;
  }
  writeFileSync(FILE, document);
  console.log(`wrote ${FILE}`);
  return 0;
}

await runProgram({ usage: USAGE, parse: parseOptions, run: writeDocument });

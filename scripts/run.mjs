// run.mjs ENTRY [arguments]: builds where sources are newer than the build, then runs dist/ENTRY.js in this very process,
// so that signals reach the service and not a shell around it.
import { join } from 'node:path';
import { build } from './build.mjs';

const [entry, ...rest] = process.argv.slice(2);
build({ ifNeeded: true });
const file = join(import.meta.dirname, '..', 'dist', `${entry}.js`);
process.argv = [process.argv[0], file, ...rest];
try {
  await import(file);
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error(`${error.message.split(' imported from')[0]}: run \`npm ci\` first.`);
  process.exit(1);
}

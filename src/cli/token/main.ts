import { loadEnvironment } from '../../config/load.js';
import { runProgram } from '../client-program.js';
import { parseTokenArguments, type TokenOptions, USAGE } from './arguments.js';
import { mintToken } from './mint.js';

async function printToken(options: TokenOptions): Promise<number> {
  console.log(await mintToken(loadEnvironment('command').auth, options));
  return 0;
}

await runProgram({ usage: USAGE, parse: parseTokenArguments, run: printToken });

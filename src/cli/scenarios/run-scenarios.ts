import { CannotRun } from '../client-program.js';
import { ExpectationFailed } from './expect.js';
import { type World } from './world.js';

export type Scenario = readonly [title: string, play: (world: World) => Promise<void>];

/**
 * Runs the scenarios one after the other, prints a line for each and one for all, and answers the exit code.
 * An ExpectationFailed or a request without an answer fails a scenario; anything else ends the run.
 */
export async function runScenarios(
  world: World,
  scenarios: readonly Scenario[],
  print: (line: string) => void = console.log,
): Promise<number> {
  let failed = 0;
  for (const [index, [title, play]] of scenarios.entries()) {
    const startedAt = performance.now();
    const failure = await failureOf(play(world));
    const name = `${index + 1} ${title} (${Math.round(performance.now() - startedAt)} ms)`;
    if (failure === null) {
      print(`✓ ${name}`);
    } else {
      failed += 1;
      print(`✗ ${name}\n${failure.message.replace(/^/gm, '    ')}`);
    }
  }
  print(`${scenarios.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

async function failureOf(play: Promise<void>): Promise<Error | null> {
  try {
    await play;
    return null;
  } catch (error) {
    if (error instanceof ExpectationFailed || error instanceof CannotRun) return error;
    throw error;
  }
}

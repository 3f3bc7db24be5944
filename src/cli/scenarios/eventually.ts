import { setTimeout as sleep } from 'node:timers/promises';
import { ExpectationFailed } from './expect.js';

const POLL_MS = 20;

/**
 * Asks again and again until `attempt` answers something other than undefined, and answers that.
 * Throws ExpectationFailed after `timeoutMs`; a failure of `attempt` itself ends it at once.
 */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (Date.now() >= giveUpAt) {
      throw new ExpectationFailed(`${what}: expected within ${Math.round(timeoutMs)} ms, did not happen`);
    }
    await sleep(POLL_MS);
  }
}

/** Resolves at an instant in milliseconds since the epoch, never before it. */
export async function clockReaches(instantMs: number): Promise<void> {
  while (Date.now() < instantMs) await sleep(Math.max(1, instantMs - Date.now()));
}

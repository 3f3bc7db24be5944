import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** How long to go on trying; 10 s unless told. */
  timeoutMs?: number;
  /** The pause after a try that failed; 20 ms unless told. */
  intervalMs?: number;
}

/**
 * Tries `condition` until it does not throw, and returns what it returned.
 *
 * Errors: the last one of `condition`, with how long it was waited for added to its message.
 */
export async function eventually<T>(
  condition: () => Promise<T> | T,
  { timeoutMs = 10_000, intervalMs = 20 }: EventuallyOptions = {},
): Promise<T> {
  const startedAt = Date.now();
  for (;;) {
    try {
      return await condition();
    } catch (thrown) {
      const waitedMs = Date.now() - startedAt;
      if (waitedMs >= timeoutMs) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        error.message += `\n(still so after ${waitedMs} ms)`;
        throw error;
      }
    }
    await delay(intervalMs);
  }
}

import { describeAnswer, type Answer, type Reply } from '../api-client.js';
import { type RequestKind, type RequestStatistics } from './statistics.js';
import { pause } from './pause.js';

const MOST_TRIES = 4;
const LONGEST_RETRY_MS = 2000;

/**
 * Asks, counts the answer, and answers the body of a success or null.
 * A 503 is tried again when it says, a few times: such a request was not carried out.
 */
export async function ask<T>(
  statistics: RequestStatistics,
  kind: RequestKind,
  request: () => Promise<Reply<T>>,
  isRefusalExpected: (answer: Answer) => boolean = () => false,
): Promise<T | null> {
  for (let tries = 1; ; tries += 1) {
    const reply = await request();
    const { answer } = reply;
    if (reply.ok) {
      statistics.record(kind, answer.durationMs, 'done');
      return reply.body;
    }
    if (answer.status === 503 && tries < MOST_TRIES) {
      statistics.record(kind, answer.durationMs, 'busy');
      await pause(Math.min(LONGEST_RETRY_MS, 1000 * (Number(answer.headers['retry-after']) || 1)));
      continue;
    }
    const isRefusal = answer.status === 400 && isRefusalExpected(answer);
    statistics.record(kind, answer.durationMs, isRefusal ? 'refused' : 'error', describeAnswer(answer));
    return null;
  }
}

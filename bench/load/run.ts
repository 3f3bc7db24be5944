import { percentile } from '../../src/cli/demo/statistics.js';
import { Connection } from './connection.js';
import type { Job, LoadResult, PlannedRequest } from './job.js';

/** Requests as they go over the wire. */
function toBytes({ method, path, body, token }: PlannedRequest): Buffer {
  const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${authorization}`;
  if (body === undefined) return Buffer.from(`${head}\r\n`);
  const text = JSON.stringify(body);
  const headers = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
  return Buffer.from(`${head}${headers}\r\n${text}`);
}

/**
 * Carries a job out: every connection sends its next request when it has the answer to its last one.
 *
 * Errors: a connection broke.
 */
export async function runJob({
  ports,
  connections: count,
  seconds,
  requests,
  isRepeated = false,
  pauseMs = 0,
}: Job): Promise<LoadResult> {
  const bytes = requests.map(toBytes);
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => undefined);
  const opening = Array.from({ length: count }, (_, index) => Connection.open(ports[index % ports.length] ?? 0, fail));
  const connections = await Promise.race([Promise.all(opening), failed]);

  const durations: number[] = [];
  let refused = 0;
  let firstRefusal: string | null = null;
  let sent = 0;
  const startedAt = performance.now();
  const endAt = startedAt + seconds * 1_000;
  let lastAnswerAt = startedAt;
  const serve = (connection: Connection): Promise<void> =>
    new Promise((resolve) => {
      const next = (): void => {
        const request = isRepeated ? bytes[sent % bytes.length] : bytes[sent];
        const sentAt = performance.now();
        if (request === undefined || sentAt >= endAt) {
          resolve();
          return;
        }
        sent += 1;
        connection.send(request, ({ status, body }) => {
          lastAnswerAt = performance.now();
          durations.push(lastAnswerAt - sentAt);
          if (status >= 300) {
            refused += 1;
            firstRefusal ??= `${status} ${body.slice(0, 300)}`;
          }
          if (pauseMs === 0) next();
          else setTimeout(next, pauseMs);
        });
      };
      next();
    });
  try {
    await Promise.race([Promise.all(connections.map(serve)), failed]);
  } finally {
    for (const connection of connections) connection.close();
  }
  durations.sort((a, b) => a - b);
  return {
    answered: durations.length,
    refused,
    firstRefusal,
    perSecond: (1_000 * durations.length) / (lastAnswerAt - startedAt),
    p50Ms: percentile(durations, 50) ?? NaN,
    p99Ms: percentile(durations, 99) ?? NaN,
    maxMs: durations.at(-1) ?? NaN,
  };
}

/** One request of a run, made ready before it. */
export interface PlannedRequest {
  method: 'GET' | 'POST';
  path: string;
  body?: object;
  /** Sent as `Authorization: Bearer`. */
  token?: string;
}

export interface Job {
  /** Connections are shared out among these ports of 127.0.0.1 in turn. */
  ports: readonly number[];
  connections: number;
  /** The run ends after so long, or when all requests have been sent. */
  seconds: number;
  requests: readonly PlannedRequest[];
  /** Begin again at the first request after the last one. */
  isRepeated?: boolean;
  /** How long a connection pauses between an answer and its next request, ms; none unless told. */
  pauseMs?: number;
}

/** What became of a run. */
export interface LoadResult {
  answered: number;
  /** Answers that were no success; a run with one of them does not count. */
  refused: number;
  /** The first of those, status and body. */
  firstRefusal: string | null;
  /** Answers per second, from the first request sent to the last answer. */
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export const REQUEST_KINDS = ['register', 'book', 'confirm', 'cancel', 'look up'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** `refused` is a refusal that the plan foresaw, `busy` a 503 that asks to come again, `error` whatever should not be. */
export type Outcome = 'done' | 'refused' | 'busy' | 'error';

/** Counts of answers and the durations of all of them, in milliseconds. */
export interface KindSummary {
  kind: RequestKind;
  requests: number;
  refused: number;
  busy: number;
  errors: number;
  p50Ms: number | null;
  p99Ms: number | null;
}

const MOST_EXAMPLES = 5;

/** What became of the requests of a run, by kind. */
export class RequestStatistics {
  private readonly durations = new Map<RequestKind, number[]>();
  private readonly outcomes = new Map<string, number>();
  private readonly examples: string[] = [];

  /** @param example what to show of an error; the first few are kept. */
  record(kind: RequestKind, durationMs: number, outcome: Outcome, example = ''): void {
    const durations = this.durations.get(kind) ?? [];
    durations.push(durationMs);
    this.durations.set(kind, durations);
    this.outcomes.set(`${kind} ${outcome}`, this.count(kind, outcome) + 1);
    if (outcome === 'error' && this.examples.length < MOST_EXAMPLES) this.examples.push(example);
  }

  summaries(): KindSummary[] {
    return REQUEST_KINDS.map((kind) => {
      const durations = (this.durations.get(kind) ?? []).toSorted((a, b) => a - b);
      return {
        kind,
        requests: durations.length,
        refused: this.count(kind, 'refused'),
        busy: this.count(kind, 'busy'),
        errors: this.count(kind, 'error'),
        p50Ms: percentile(durations, 50),
        p99Ms: percentile(durations, 99),
      };
    });
  }

  errorCount(): number {
    return REQUEST_KINDS.reduce((sum, kind) => sum + this.count(kind, 'error'), 0);
  }

  errorExamples(): readonly string[] {
    return this.examples;
  }

  private count(kind: RequestKind, outcome: Outcome): number {
    return this.outcomes.get(`${kind} ${outcome}`) ?? 0;
  }
}

/** The smallest value that `percent` of the values do not exceed (nearest rank); null where there are none. */
export function percentile(ascending: readonly number[], percent: number): number | null {
  const rank = Math.max(1, Math.ceil((percent / 100) * ascending.length));
  return ascending[rank - 1] ?? null;
}

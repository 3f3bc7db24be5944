import type { LoadResult } from './load/job.js';

/** What is asked of a figure: not less, or not more, than so much. */
export type Bar = { atLeast: number } | { atMost: number };

/** A line of the table. */
export interface Row {
  what: string;
  /** The median of the rounds, or the worst of them where the part says so. */
  value: number;
  unit: string;
  /** What it is compared with, in the same unit; null where the bar is on the value itself. */
  against: { what: string; value: number } | null;
  /** The median of the ratios of the rounds: within a round both were measured one right after the other. */
  ratio: number | null;
  bar: Bar;
  verdict: 'met' | 'missed' | 'invalid';
  /** Why it does not count, where it does not. */
  why: string | null;
  /** What each round came to, as it was measured. */
  rounds: { ours: number | LoadResult; against?: LoadResult }[];
}

/** The middle of the values, or the mean of the two in the middle; NaN where there are none. */
export function median(values: readonly number[]): number {
  const ascending = values.toSorted((a, b) => a - b);
  const half = ascending.length / 2;
  const [below = NaN, above = NaN] = [ascending[Math.ceil(half) - 1], ascending[Math.floor(half)]];
  return (below + above) / 2;
}

/** A rate, round by round against another one. A refused request on either side makes it invalid. */
export function compare(
  what: string,
  ours: readonly LoadResult[],
  against: { what: string; results: readonly LoadResult[] },
  atLeast: number,
): Row {
  const rounds = ours.map((result, index) => {
    const other = against.results[index];
    if (other === undefined) throw new Error(`${what}: there is nothing to compare round ${index + 1} with`);
    return { ours: result, against: other };
  });
  const ratio = median(rounds.map((round) => round.ours.perSecond / round.against.perSecond));
  const why = findRefusal(ours, 'the service') ?? findRefusal(against.results, against.what);
  return {
    what,
    value: median(ours.map(({ perSecond }) => perSecond)),
    unit: 'requests/s',
    against: { what: against.what, value: median(against.results.map(({ perSecond }) => perSecond)) },
    ratio,
    bar: { atLeast },
    verdict: judge(ratio, { atLeast }, why),
    why,
    rounds,
  };
}

/** The 99th percentile of how long requests took, ms. A refused request makes it invalid. */
export function limitP99(what: string, results: readonly LoadResult[], atMostMs: number): Row {
  const row = limit(
    what,
    results.map(({ p99Ms }) => p99Ms),
    { unit: 'ms', bar: { atMost: atMostMs } },
  );
  const why = findRefusal(results, 'the service');
  return { ...row, why, verdict: judge(row.value, row.bar, why), rounds: results.map((ours) => ({ ours })) };
}

/** A figure with a bar of its own. @param of which of the rounds counts; the median unless told */
export function limit(
  what: string,
  values: readonly number[],
  { unit, bar, of = 'median' }: { unit: string; bar: Bar; of?: 'median' | 'max' },
): Row {
  const value = of === 'max' ? Math.max(...values) : median(values);
  const verdict = judge(value, bar, null);
  return {
    what,
    value,
    unit,
    against: null,
    ratio: null,
    bar,
    verdict,
    why: null,
    rounds: values.map((ours) => ({ ours })),
  };
}

/** The same row, which does not count for this reason. */
export function invalidate(row: Row, why: string): Row {
  return { ...row, verdict: 'invalid', why: row.why ?? why };
}

function findRefusal(results: readonly LoadResult[], whose: string): string | null {
  const refused = results.reduce((sum, each) => sum + each.refused, 0);
  if (refused > 0) {
    const first = results.find(({ firstRefusal }) => firstRefusal !== null)?.firstRefusal ?? '';
    return `${whose} refused ${refused} requests, the first with ${first}`;
  }
  return results.some(({ answered }) => answered === 0) ? `${whose} answered nothing` : null;
}

function judge(value: number, bar: Bar, why: string | null): Row['verdict'] {
  if (why !== null || Number.isNaN(value)) return 'invalid';
  return ('atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost) ? 'met' : 'missed';
}

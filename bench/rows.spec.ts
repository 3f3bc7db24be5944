import { renderChart } from './chart.js';
import type { LoadResult } from './load/job.js';
import { failures, renderRows, timesBar } from './report.js';
import { compare, invalidate, limit, limitP99, median } from './rows.js';

const result = (perSecond: number, more: Partial<LoadResult> = {}): LoadResult => ({
  answered: perSecond,
  refused: 0,
  firstRefusal: null,
  perSecond,
  p50Ms: 10,
  p99Ms: 50,
  maxMs: 60,
  ...more,
});
const bare = (...rates: number[]): { what: string; results: LoadResult[] } => ({
  what: 'bare',
  results: rates.map((rate) => result(rate)),
});

describe('median', () => {
  it.each([
    [[5], 5],
    [[9, 1, 5], 5],
    [[1, 4, 2, 9], 3],
    [[], NaN],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe('compare', () => {
  it('takes the median of the ratios of the rounds, and not the ratio of the medians', () => {
    // The machine was half as quick in the second round, and three times as slow in the third.
    const row = compare('book', [result(1_200), result(500), result(300)], bare(1_000, 500, 300), 1);
    expect(row).toMatchObject({ value: 500, against: { what: 'bare', value: 500 }, ratio: 1, verdict: 'met' });
  });

  it('misses a bar that is not reached', () => {
    expect(compare('book', [result(899)], bare(1_000), 0.9).verdict).toBe('missed');
    expect(compare('book', [result(900)], bare(1_000), 0.9).verdict).toBe('met');
  });

  it.each([
    ['the service', result(2_000, { refused: 3, firstRefusal: '400 {}' }), result(1_000)],
    ['bare', result(2_000), result(1_000, { refused: 3, firstRefusal: '400 {}' })],
  ])('does not count where %s refused a request', (whose, ours, other) => {
    const row = compare('book', [ours], { what: 'bare', results: [other] }, 1);
    expect(row).toMatchObject({ verdict: 'invalid', why: `${whose} refused 3 requests, the first with 400 {}` });
  });

  it('does not count where nothing was answered', () => {
    expect(compare('book', [result(0)], bare(1_000), 1)).toMatchObject({
      verdict: 'invalid',
      why: 'the service answered nothing',
    });
  });
});

describe('limit', () => {
  it('takes the median, or the worst where it is told to', () => {
    expect(limit('start', [1, 3, 1.2], { unit: 's', bar: { atMost: 1.5 } })).toMatchObject({
      value: 1.2,
      verdict: 'met',
    });
    expect(limit('start', [1, 3, 1.2], { unit: 's', bar: { atMost: 1.5 }, of: 'max' })).toMatchObject({
      value: 3,
      verdict: 'missed',
    });
  });

  it('does not count where nothing was measured', () => {
    expect(limit('start', [], { unit: 's', bar: { atMost: 1.5 } }).verdict).toBe('invalid');
  });
});

describe('limitP99', () => {
  it('holds the median of the rounds to its bar, and counts no run with a refused request', () => {
    expect(limitP99('p99', [result(1, { p99Ms: 60 })], 60)).toMatchObject({ value: 60, verdict: 'met' });
    expect(limitP99('p99', [result(1, { p99Ms: 61 })], 60).verdict).toBe('missed');
    expect(limitP99('p99', [result(1, { refused: 1 })], 60).verdict).toBe('invalid');
  });
});

describe('the table and the chart', () => {
  const rows = [
    compare('book', [result(1_100)], bare(1_000), 1),
    limit('memory & more', [400], { unit: 'MB', bar: { atMost: 300 } }),
    invalidate(limit('late', [0], { unit: '', bar: { atMost: 0 } }), 'a rule is broken'),
  ];

  it('show every figure with its bar, and mark what does not count', () => {
    const table = renderRows(rows);
    expect(table).toMatch(/book +│ 1,100\/s │ bare +│ 1,000\/s │ +1.10 │ ≥ 1 × +│ ✓/);
    expect(table).toMatch(/memory & more +│ +400 MB │ +│ +│ +│ ≤ 300 MB │ ✗/);
    expect(table).toMatch(/late +│ +0 │ +│ +│ +│ ≤ 0 +│ invalid/);
  });

  it('say in sentences what is not as it should be', () => {
    expect(failures(rows)).toEqual([
      'memory & more: misses its bar, ≤ 300 MB',
      'late: does not count: a rule is broken',
    ]);
  });

  it('draw what is beyond its bar in green, what is not in red, and no bar for what does not count', () => {
    const chart = renderChart(rows, 'two cores');
    expect(chart.match(/width="\d+" height="16" fill="[^"]+"/g)).toEqual([
      'width="132" height="16" fill="#2e7d32"',
      'width="90" height="16" fill="#c62828"',
      'width="0" height="16" fill="#9e9e9e"',
    ]);
    expect(chart).toContain('memory &amp; more');
  });

  it('measure how far a row is beyond its bar, whichever way the bar goes', () => {
    expect(rows.map(timesBar)).toEqual([1.1, 0.75, null]);
  });
});

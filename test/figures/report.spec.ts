import { failures, type Figure, isKept, renderFigures } from './report.js';

/** 1 to 200 ms: p99 is 198, and the greatest 200. */
const figure: Figure = {
  what: 'a figure',
  values: Array.from({ length: 200 }, (_, index) => index + 1),
  bar: null,
  broken: [],
};

describe('isKept', () => {
  it.each([
    ['p99', 198, true],
    ['p99', 197, false],
    ['max', 200, true],
    ['max', 199, false],
  ] as const)('with a bar of %s ≤ %d: %s', (of, ms, expected) => {
    expect(isKept({ ...figure, bar: { of, ms } })).toBe(expected);
  });

  it('keeps a bar that there is not, and none where nothing was measured', () => {
    expect(isKept(figure)).toBe(true);
    expect(isKept({ ...figure, values: [], bar: { of: 'p99', ms: 1 } })).toBe(false);
  });

  it('is not where a rule of the service was broken', () => {
    expect(isKept({ ...figure, broken: [{ rule: 'never oversold', total: 2, offending: [] }] })).toBe(false);
  });
});

describe('failures', () => {
  it('says which bars are missed and which rules are broken', () => {
    const late: Figure = { ...figure, what: 'one', bar: { of: 'max', ms: 1 } };
    const wrong: Figure = { ...late, what: 'other', broken: [{ rule: 'never oversold', total: 2, offending: [] }] };
    expect(failures([figure, late, wrong])).toEqual([
      'one: misses its bar',
      'other: misses its bar',
      'other: 2 rows break the rule "never oversold"',
    ]);
  });
});

describe('renderFigures', () => {
  it('shows the count, p50, p99, the greatest, the bar and whether it is kept', () => {
    const table = renderFigures([{ ...figure, bar: { of: 'p99', ms: 150 } }]);
    expect(table).toMatch(/a figure +│ +200 +│ +100 +│ +198 +│ +200 +│ p99 ≤ 150 +│ ✗/);
  });
});

import { percentile, RequestStatistics } from './statistics.js';

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);

  it.each([
    [hundred, 50, 50],
    [hundred, 99, 99],
    [hundred, 100, 100],
    [[1, 2, 3], 50, 2],
    [[1, 2, 3], 99, 3],
    [[4], 1, 4],
    [[], 50, null],
  ])('is the nearest rank (%#)', (values, percent, expected) => {
    expect(percentile(values, percent)).toBe(expected);
  });
});

describe('RequestStatistics', () => {
  it('counts by kind and outcome, and keeps the first errors', () => {
    const statistics = new RequestStatistics();
    [30, 10, 20].forEach((ms) => statistics.record('book', ms, 'done'));
    statistics.record('book', 40, 'refused');
    statistics.record('book', 50, 'busy');
    for (let count = 1; count <= 7; count += 1) statistics.record('confirm', 1, 'error', `error ${count}`);

    const [, book, confirm, cancel] = statistics.summaries();
    expect(book).toEqual({ kind: 'book', requests: 5, refused: 1, busy: 1, errors: 0, p50Ms: 30, p99Ms: 50 });
    expect(confirm).toMatchObject({ kind: 'confirm', requests: 7, errors: 7 });
    expect(cancel).toMatchObject({ kind: 'cancel', requests: 0, p50Ms: null, p99Ms: null });
    expect(statistics.errorCount()).toBe(7);
    expect(statistics.errorExamples()).toEqual(['error 1', 'error 2', 'error 3', 'error 4', 'error 5']);
  });
});

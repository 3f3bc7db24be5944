import fc from 'fast-check';
import { delayRungs, rungFor } from './delays.js';

const LADDER = [1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000];

describe('delayRungs', () => {
  it('puts the confirmation window among the ladder, in order', () => {
    expect(delayRungs(1_500)).toEqual([1_000, 1_500, 10_000, 60_000, 600_000, 3_600_000, 86_400_000]);
    expect(delayRungs(100)[0]).toBe(100);
    expect(delayRungs(2_592_000_000).at(-1)).toBe(2_592_000_000);
  });

  it('has no rung twice', () => {
    expect(delayRungs(10_000)).toEqual(LADDER);
  });
});

describe('rungFor', () => {
  it.each([
    [-5_000, null],
    [0, null],
    [899, null],
    [900, 1_000],
    [1_000, 1_000],
    [9_899, 1_000],
    [9_900, 10_000],
    [59_899, 10_000],
    [59_900, 60_000],
    [86_399_899, 3_600_000],
    [86_399_900, 86_400_000],
    [400 * 86_400_000, 86_400_000],
    [NaN, null],
  ])('has %d ms wait in %p', (remainingMs, rung) => {
    expect(rungFor(remainingMs, LADDER)).toBe(rung);
  });

  it.each([
    [89, null],
    [90, 100],
    [899, 100],
    [900, 1_000],
  ])('is exact to a tenth of a window of 100 ms: %d ms waits in %p', (remainingMs, rung) => {
    expect(rungFor(remainingMs, delayRungs(100))).toBe(rung);
  });

  it('is never more than 0.1 s late, and leaves less to wait out than the shortest rung', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 4e10, noNaN: true }),
        fc.integer({ min: 100, max: 2_592_000_000 }),
        (remainingMs, windowMs) => {
          const rungs = delayRungs(windowMs);
          const rung = rungFor(remainingMs, rungs);
          if (rung === null) expect(remainingMs).toBeLessThan(rungs[0] ?? 0);
          else expect(rung - remainingMs).toBeLessThanOrEqual(100);
        },
      ),
    );
  });

  it('takes a few hops at most for the longest timer below a day', () => {
    let remainingMs = 86_399_000;
    let hops = 0;
    for (let rung = rungFor(remainingMs, LADDER); rung !== null; rung = rungFor(remainingMs, LADDER)) {
      remainingMs -= rung;
      hops++;
    }
    expect(hops).toBeLessThanOrEqual(23 + 5 + 9 + 5 + 9);
  });
});

import { Random } from './random.js';

function draws(seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: 1000 }, () => random.next());
}

describe('Random', () => {
  it('draws the known numbers of mulberry32', () => {
    expect(draws(1).slice(0, 3)).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });

  it('repeats with the seed and differs with another', () => {
    expect(draws(7)).toEqual(draws(7));
    expect(draws(7)).not.toEqual(draws(8));
  });

  it('stays within its bounds and reaches both', () => {
    expect(draws(3).every((value) => value >= 0 && value < 1)).toBe(true);
    const random = new Random(3);
    const integers = new Set(Array.from({ length: 200 }, () => random.integer(2, 4)));
    expect([...integers].sort()).toEqual([2, 3, 4]);
  });

  it('picks one of the items, and nothing from nothing', () => {
    const random = new Random(5);
    expect(['a', 'b']).toContain(random.pick(['a', 'b']));
    expect(random.pick<string>([])).toBeUndefined();
  });

  it('shuffles without losing, doubling or touching the list', () => {
    const items = Array.from({ length: 50 }, (_, index) => index);
    const shuffled = new Random(9).shuffled(items);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
    expect(items[0]).toBe(0);
  });
});

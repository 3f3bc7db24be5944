import { atMost } from './at-most.js';

describe('atMost', () => {
  it('keeps the order of the items and never exceeds the limit', async () => {
    let running = 0;
    let most = 0;
    const doubled = await atMost(3, [5, 1, 4, 2, 3, 0], async (value) => {
      running += 1;
      most = Math.max(most, running);
      for (let turn = 0; turn < value; turn += 1) await Promise.resolve();
      running -= 1;
      return value * 2;
    });
    expect(doubled).toEqual([10, 2, 8, 4, 6, 0]);
    expect(most).toBe(3);
  });

  it('rejects with the first failure', async () => {
    await expect(atMost(2, [1, 2], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});

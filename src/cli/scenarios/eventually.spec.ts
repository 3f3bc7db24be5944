import { clockReaches, eventually } from './eventually.js';
import { ExpectationFailed } from './expect.js';

describe('eventually', () => {
  it('asks until there is something', async () => {
    let asked = 0;
    const answer = await eventually('third time', 5000, () => Promise.resolve((asked += 1) < 3 ? undefined : asked));
    expect(answer).toBe(3);
  });

  it('gives up with a sentence, and lets a failure through', async () => {
    await expect(eventually('a miracle', 30, () => Promise.resolve(undefined))).rejects.toThrow(
      new ExpectationFailed('a miracle: expected within 30 ms, did not happen'),
    );
    await expect(eventually('a failure', 5000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});

describe('clockReaches', () => {
  it('never comes early', async () => {
    const instant = Date.now() + 25;
    await clockReaches(instant);
    expect(Date.now()).toBeGreaterThanOrEqual(instant);
  });
});

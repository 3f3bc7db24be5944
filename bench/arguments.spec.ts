import { UsageError } from '../src/cli/client-program.js';
import { parseBenchArguments, PARTS } from './arguments.js';

describe('parseBenchArguments', () => {
  it('measures everything in five rounds of 3 s unless told', () => {
    expect(parseBenchArguments([])).toEqual({ rounds: 5, seconds: 3, parts: PARTS });
  });

  it('takes rounds, a length and one of the parts', () => {
    expect(parseBenchArguments(['--rounds', '1', '--seconds', '2', '--only', 'rush'])).toEqual({
      rounds: 1,
      seconds: 2,
      parts: ['rush'],
    });
  });

  it.each([
    [['--rounds', '0'], 'Give --rounds a whole number from 1 to 20, not "0".'],
    [['--seconds', '61'], 'Give --seconds a whole number from 1 to 60, not "61".'],
    [['--only', 'all'], `Give --only one of ${PARTS.join(', ')}, not "all".`],
  ])('refuses %j', (args, sentence) => {
    expect(() => parseBenchArguments(args)).toThrow(new UsageError(sentence));
  });
});

import { UsageError } from '../../src/cli/client-program.js';
import { parseFiguresArguments } from './arguments.js';

describe('parseFiguresArguments', () => {
  it('measures everything, and 100 offers a second for 20 s, unless told', () => {
    expect(parseFiguresArguments([])).toEqual({ seconds: 20, parts: ['lateness', 'recovery'] });
  });

  it('takes a length and one of the parts', () => {
    expect(parseFiguresArguments(['--seconds', '5', '--only', 'recovery'])).toEqual({
      seconds: 5,
      parts: ['recovery'],
    });
  });

  it.each([
    [['--seconds', '1'], 'Give --seconds a whole number from 2 to 600, not "1".'],
    [['--only', 'all'], 'Give --only one of lateness and recovery, not "all".'],
  ])('refuses %j', (args, sentence) => {
    expect(() => parseFiguresArguments(args)).toThrow(new UsageError(sentence));
  });
});

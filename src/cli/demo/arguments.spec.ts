import { UsageError } from '../client-program.js';
import { parseDemoArguments } from './arguments.js';

describe('parseDemoArguments', () => {
  it('has defaults for everything, and another seed each time', () => {
    const { url, attendees, seed } = parseDemoArguments([]);
    expect([url.href, attendees]).toEqual(['http://127.0.0.1:8080/', 500]);
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });

  it('takes what is given', () => {
    expect(parseDemoArguments(['--url', 'https://a.example', '--attendees', '5000', '--seed', '0'])).toEqual({
      url: new URL('https://a.example'),
      attendees: 5000,
      seed: 0,
    });
  });

  it.each([
    [['--attendees', '0'], 'Give --attendees a whole number from 1 to 5000, not "0".'],
    [['--attendees', '5001'], 'Give --attendees a whole number from 1 to 5000, not "5001".'],
    [['--seed', '1.5'], 'Give --seed a whole number from 0 to 4294967295, not "1.5".'],
    [['--url', 'here'], 'Give --url an http or https address such as http://127.0.0.1:8080, not "here".'],
  ])('refuses %j', (args, sentence) => {
    expect(() => parseDemoArguments(args)).toThrow(new UsageError(sentence));
  });
});

import { parseServiceUrl, parseTextOptions, parseWholeNumber, UsageError } from './client-program.js';

describe('parseTextOptions', () => {
  it('reads values after a space and after an equals sign', () => {
    expect(parseTextOptions(['--url', 'http://a', '--seed=7'], ['url', 'seed', 'other'])).toEqual({
      url: 'http://a',
      seed: '7',
    });
  });

  it.each([
    [['--wrong', '1'], "Unknown option '--wrong': give the options as below."],
    [['--url'], "Option '--url <value>' argument missing: give the options as below."],
    [['--url', 'a', '--url', 'b'], 'Give --url only once.'],
    [['loose'], "Unexpected argument 'loose': give the options as below."],
  ])('refuses %j in one sentence', (args, sentence) => {
    expect(() => parseTextOptions(args, ['url'])).toThrow(new UsageError(sentence));
  });
});

describe('parseServiceUrl', () => {
  it.each(['http://127.0.0.1:8080', 'https://booking.example/api/', 'http://[::1]:9000'])('takes %s', (text) => {
    expect(parseServiceUrl(text).href).toContain(text);
  });

  it.each(['127.0.0.1:8080', 'localhost', 'ftp://a', '', 'http://', 'http://a?b=1', 'http://u:p@a'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseServiceUrl(text)).toThrow(UsageError);
    },
  );
});

describe('parseWholeNumber', () => {
  it('takes both bounds', () => {
    expect([parseWholeNumber('n', '1', 1, 5000), parseWholeNumber('n', '5000', 1, 5000)]).toEqual([1, 5000]);
  });

  it.each(['0', '5001', '-1', '1.5', '1e3', 'many', '', ' 5'])('refuses "%s"', (text) => {
    expect(() => parseWholeNumber('n', text, 1, 5000)).toThrow(
      new UsageError(`Give --n a whole number from 1 to 5000, not "${text}".`),
    );
  });
});

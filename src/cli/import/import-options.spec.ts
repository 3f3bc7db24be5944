import { UsageError } from '../client-program.js';
import { DEFAULT_SLOTS, parseImportOptions } from './import-options.js';

describe('parseImportOptions', () => {
  it('has defaults', () => {
    expect(parseImportOptions(['talks.xml'])).toEqual({ file: 'talks.xml', startsOn: null, slots: DEFAULT_SLOTS });
  });

  it('reads all', () => {
    expect(parseImportOptions(['--slots', '5', 'talks.xml', '--starts-on=2028-02-29'])).toEqual({
      file: 'talks.xml',
      startsOn: Date.UTC(2028, 1, 29),
      slots: 5,
    });
  });

  it.each([
    [[], 'Give the XML file'],
    [[''], 'Give the XML file'],
    [['a.xml', 'b.xml'], 'Give one file, not 2'],
    [['a.xml', '--slots', '0'], '--slots a whole number from 1 to 1000000, not "0"'],
    [['a.xml', '--slots', '1000001'], 'not "1000001"'],
    [['a.xml', '--slots', '1e3'], 'not "1e3"'],
    [['a.xml', '--slots', '5', '--slots', '6'], '--slots only once'],
    [['a.xml', '--slots'], 'argument missing'],
    [['a.xml', '--slots', '--starts-on', '2027-01-01'], 'ambiguous'],
    [['a.xml', '--starts-on', '2027-02-30'], 'a day that exists, as YYYY-MM-DD, not "2027-02-30"'],
    [['a.xml', '--starts-on', 'tomorrow'], 'not "tomorrow"'],
    [['a.xml', '--starts', '2027-01-01'], "Unknown option '--starts'"],
  ])('refuses %j in one sentence', (args, words) => {
    const parse = (): unknown => parseImportOptions(args);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(words);
    expect(parse).toThrow(/^[^\n]*\.$/);
  });
});

import fc from 'fast-check';
import { isPlainText } from '../../common/text.js';
import { chooseNames, namesFor, toPlainName } from './conference-names.js';

describe('toPlainName', () => {
  it.each([
    ['Krypto für die Zukunft', 'Krypto fuer die Zukunft'],
    ['Ethics, Society & Politics', 'Ethics Society and Politics'],
    ['“Don’t panic” – it’s fine', 'Dont panic its fine'],
    ['Привет, мир!', 'Privet mir'],
    ['ﬁne ½ Ⅷ', 'fine 1 2 VIII'],
    [' a\u00a0\t b ', 'a b'],
    ['東京 Ruby', 'Ruby'],
  ])('%s → %s', (text, name) => expect(toPlainName(text)).toBe(name));

  it.each(['', ' ', '—', '🎉', '日本語'])('finds no name in "%s"', (text) => expect(toPlainName(text)).toBeNull());

  it('is always as the contract allows', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        const name = toPlainName(text);
        if (name === null) return;
        expect(isPlainText(name)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('namesFor', () => {
  it('has the plain title first, then suffixes that only the key decides', () => {
    const [plain, ...suffixed] = namesFor('Lunch!', 'x1#g1');
    expect(plain).toBe('Lunch');
    expect(suffixed).toHaveLength(3);
    for (const name of suffixed) expect(name).toMatch(/^Lunch [0-9a-f]+$/);
    expect(namesFor('Lunch!', 'x1#g1')).toEqual([plain, ...suffixed]);
    expect(namesFor('Lunch!', 'x1#g2')[1]).not.toBe(suffixed[0]);
  });

  it('keeps a long name with its suffix within 255 characters', () => {
    for (const name of namesFor('word '.repeat(100), 'x1#g1')) {
      expect(name.length).toBeLessThanOrEqual(255);
      expect(name).not.toMatch(/ {2}| $/);
    }
  });

  it('names an event whose title cannot be transliterated by its key', () => {
    expect(namesFor('日本語', 'x1#g1')[0]).toMatch(/^Event [0-9a-f]{6}$/);
  });

  it.each(['', '…', '🎉'])('has none for "%s"', (title) => expect(namesFor(title, 'x1#g1')).toEqual([]));
});

describe('chooseNames', () => {
  const wishesOf = (...events: [key: string, title: string][]): Map<string, string[]> =>
    new Map(events.map(([key, title]) => [key, namesFor(title, key)]));

  it('leaves a name alone that nobody else has', () => {
    expect(chooseNames(wishesOf(['a', 'One'], ['b', 'Two']), new Set())).toEqual(
      new Map([
        ['a', 'One'],
        ['b', 'Two'],
      ]),
    );
  });

  it('gives both a suffix where two clash, in whatever order they come', () => {
    const forth = chooseNames(wishesOf(['a', 'Lunch'], ['b', 'Lunch'], ['c', 'Dinner']), new Set());
    const back = chooseNames(wishesOf(['c', 'Dinner'], ['b', 'Lunch'], ['a', 'Lunch']), new Set());
    expect(forth.get('a')).toBe(namesFor('Lunch', 'a')[1]);
    expect(forth.get('b')).toBe(namesFor('Lunch', 'b')[1]);
    expect(new Map([...back].sort())).toEqual(new Map([...forth].sort()));
  });

  it('gives a suffix to a name that something else has, and a longer one where that is taken as well', () => {
    const [plain = '', short = '', longer = ''] = namesFor('Lunch', 'a');
    const wishes = wishesOf(['a', 'Lunch']);
    expect(chooseNames(wishes, new Set([plain])).get('a')).toBe(short);
    expect(chooseNames(wishes, new Set([plain, short])).get('a')).toBe(longer);
    expect(chooseNames(wishes, new Set(wishes.get('a'))).get('a')).toBeNull();
  });

  it('sees a title that looks like another one’s suffixed name', () => {
    const suffixed = namesFor('Lunch', 'a')[1] ?? '';
    const names = chooseNames(wishesOf(['a', 'Lunch'], ['b', 'Lunch'], ['c', suffixed]), new Set());
    expect(new Set(names.values()).size).toBe(3);
  });
});

import { Cause, idsToText, requestIdFrom, requestIdsFrom } from './cause.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const cause = (id: string, ...more: string[]): Cause => new Cause([id, ...more], null);

describe('requestIdFrom', () => {
  it.each(['a', 'A.b_c-9', '0'.repeat(128)])('takes %s', (id) => {
    expect(requestIdFrom(id)).toBe(id);
  });

  it.each([undefined, null, 7, ['a'], '', ' a', 'a\n', 'a,b', 'ä', '"', '<a>', '0'.repeat(129)])(
    'makes an id in place of %j',
    (given) => {
      expect(requestIdFrom(given)).toMatch(UUID);
      expect(requestIdFrom(given)).not.toBe(requestIdFrom(given));
    },
  );
});

describe('requestIdsFrom', () => {
  it('reads what idsToText wrote', () => {
    expect(requestIdsFrom(idsToText(cause('a')))).toEqual(['a']);
    expect(requestIdsFrom(idsToText(cause('a', 'b', 'c')))).toEqual(['a', 'b', 'c']);
  });

  it.each([undefined, null, 7, { a: 1 }, Buffer.from('a'), '', ',', '"', `a,${'b'.repeat(100_000)}`])(
    'makes an id in place of %j',
    (given) => {
      expect(requestIdsFrom(given)).toEqual([expect.stringMatching(UUID)]);
    },
  );

  it('leaves out what may not be repeated, and what is too much', () => {
    expect(requestIdsFrom('a,<b>,c')).toEqual(['a', 'c']);
    expect(requestIdsFrom('a,'.repeat(40))).toHaveLength(32);
  });
});

describe('Cause.of', () => {
  it('names each request once, the first one first, 32 in all', () => {
    const first = cause('a');
    expect(Cause.of([first])).toBe(first);
    expect(Cause.of([first, cause('b'), cause('c', 'a', 'b')]).requestIds).toEqual(['a', 'b', 'c']);
    const many = Array.from({ length: 50 }, (_, index) => cause(`r${index}`));
    expect(Cause.of([first, ...many]).requestIds).toEqual([
      'a',
      ...many.slice(0, 31).flatMap((each) => each.requestIds),
    ]);
  });
});

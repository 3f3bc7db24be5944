import { AppError } from '../common/app-error.js';
import { parseListQuery } from './list-query.js';

describe('the query of a list', () => {
  it.each([
    [undefined, undefined, { after: null, limit: null }],
    ['1', undefined, { after: 1, limit: null }],
    [undefined, '1', { after: null, limit: 1 }],
    ['9007199254740991', '1000', { after: Number.MAX_SAFE_INTEGER, limit: 1_000 }],
  ])('after %s, limit %s', (after, limit, expected) => {
    expect(parseListQuery(after, limit)).toEqual(expected);
  });

  it.each(['', '0', '-1', '1.5', '1e3', '0x10', ' 1', '1,2', 'all', '9007199254740992', '99999999999999999999'])(
    'is refused with "%s" for either',
    (text) => {
      const errorOf = (work: () => unknown): AppError => {
        try {
          work();
        } catch (error) {
          if (error instanceof AppError) return error;
        }
        throw new Error('It was not refused');
      };
      const after = errorOf(() => parseListQuery(text, '10'));
      expect(after).toMatchObject({ kind: 'invalid', code: 'VALIDATION_FAILED', details: { field: 'after' } });
      const limit = errorOf(() => parseListQuery('10', text));
      expect(limit).toMatchObject({
        message: 'limit must be a whole number from 1 to 1000',
        details: { field: 'limit', errors: [{ field: 'limit', message: limit.message }] },
      });
      const both = errorOf(() => parseListQuery(text, text));
      expect(both.message).toBe(`${after.message}; ${limit.message}`);
      expect(both.details).toMatchObject({ field: 'after', errors: [{ field: 'after' }, { field: 'limit' }] });
    },
  );

  it('is refused with a limit above the most', () => {
    expect(() => parseListQuery(undefined, '1001')).toThrow('limit must be a whole number from 1 to 1000');
  });
});

import fc from 'fast-check';
import { parseInstant } from './instant.js';

const read = (text: string): string | null => {
  const instant = parseInstant(text);
  return instant === null ? null : new Date(instant).toISOString();
};

describe('parseInstant', () => {
  it.each([
    ['2027-03-01 09:00:00', '2027-03-01T09:00:00.000Z'],
    ['2027-03-01T09:00:00Z', '2027-03-01T09:00:00.000Z'],
    ['2027-03-01T09:00Z', '2027-03-01T09:00:00.000Z'],
    ['2027-03-01T09:00:00.25Z', '2027-03-01T09:00:00.250Z'],
    ['2027-03-01T09:00:00.123456Z', '2027-03-01T09:00:00.123Z'],
    ['2027-03-01T09:00:00+05:30', '2027-03-01T03:30:00.000Z'],
    ['2027-03-01T09:00:00-0800', '2027-03-01T17:00:00.000Z'],
    ['2028-02-29 00:00:00', '2028-02-29T00:00:00.000Z'],
  ])('reads %s', (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  it.each([
    '2027-02-30 09:00:00',
    '2027-02-29 09:00:00',
    '2027-13-01 09:00:00',
    '2027-00-10 09:00:00',
    '2027-04-31T09:00:00Z',
    '2027-03-01 24:00:00',
    '2027-03-01 09:60:00',
    '2027-03-01 09:00:60',
    '2027-03-01T09:00:00',
    '2027-03-01T09:00:00+24:00',
    '2027-03-01T09:00:00+01:60',
    '2027-03-01 09:00',
    '2027-3-1 09:00:00',
    ' 2027-03-01 09:00:00',
    '2027-03-01 09:00:00 ',
    '2027-03-01 09:00:00\n',
    '0000-06-01 00:00:00',
    '0001-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59-12:00',
    '1772355600',
    'tomorrow',
    '',
  ])('refuses %j', (text) => {
    expect(read(text)).toBeNull();
  });

  it('reads back every instant that a Date writes', () => {
    const dates = fc.date({ min: new Date('1971-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
    fc.assert(fc.property(dates, (date) => parseInstant(date.toISOString()) === date.getTime()));
  });
});

import fc from 'fast-check';
import type { Schema } from './document.js';

/** Values that a schema allows, its bounds among them. @throws Error for a schema that is not understood here */
export function valid(schema: Schema): fc.Arbitrary<unknown> {
  const some = plain(schema);
  return schema.nullable === true ? fc.option(some) : some;
}

function plain(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'integer': {
      const [min, max] = [schema.minimum ?? Number.MIN_SAFE_INTEGER, schema.maximum ?? Number.MAX_SAFE_INTEGER];
      return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max));
    }
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'string':
      return text(schema);
    case 'array': {
      const { items, minItems = 0, maxItems = 10, uniqueItems = false } = schema;
      if (items === undefined) break;
      const lengths = { minLength: minItems, maxLength: maxItems, size: 'small' as const };
      return uniqueItems ? fc.uniqueArray(valid(items), lengths) : fc.array(valid(items), lengths);
    }
    case 'object': {
      const { properties = {}, required = [] } = schema;
      const fields = Object.entries(properties).map(([name, field]) => [name, valid(field)]);
      return fc.record(Object.fromEntries(fields) as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: required });
    }
    case undefined:
  }
  throw new Error(`No values are known for the schema ${JSON.stringify(schema)}`);
}

function text({ pattern, minLength = 0, maxLength = 40 }: Schema): fc.Arbitrary<string> {
  if (pattern === undefined) return fc.string({ minLength, maxLength });
  const drawn = fc
    .stringMatching(new RegExp(pattern))
    .filter(({ length }) => length >= minLength && length <= maxLength);
  // The shortest and the longest, where a single character again and again is what the pattern allows.
  const bounds = [minLength, maxLength]
    .map((length) => 'a'.repeat(length))
    .filter((each) => new RegExp(pattern).test(each));
  return bounds.length === 0 ? drawn : fc.oneof({ weight: 9, arbitrary: drawn }, fc.constantFrom(...bounds));
}

/** What somebody may send who means no good, or whose program is wrong. */
export const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[
      null,
      true,
      false,
      0,
      -0,
      -1,
      1,
      1.5,
      1e300,
      2 ** 31,
      2 ** 53,
      2 ** 63,
      '',
      ' ',
      '0',
      '1',
      '1e3',
      'null',
      'NaN',
    ],
    ...['\0', 'a\0b', '\ud800', '\udfff', 'a\n', '\u202e', '\ufeffa', 'Zoë', '１２', '𝒳', '٣', 'İ', 'ﬀ'],
    ...["' OR 1=1 --", '"; DROP TABLE x; --', '$1', '%s', '{{7*7}}', '${7*7}', '<script>', '../../etc/passwd'],
    ...['__proto__', 'constructor', 'toString', '[object Object]', '2036-02-30 09:00:00', '9999-12-31T23:59:59Z'],
    ...[[], {}, [[]], [null], [{}], { a: { b: {} } }, { length: 1, 0: 'a' }, { toString: 1 }, ['a', 'a']],
    ...[256, 4_000, 60_000].map((length) => 'a'.repeat(length)),
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.double(),
);

/** Values on and just beyond the bounds of a schema, and of another type. */
export function odd(schema: Schema): fc.Arbitrary<unknown> {
  const beyond: unknown[] = [];
  for (const bound of [schema.minimum, schema.maximum]) {
    if (bound !== undefined) beyond.push(bound - 1, bound, bound + 1, bound + 0.5, String(bound));
  }
  for (const bound of [schema.minLength, schema.maxLength]) {
    if (bound !== undefined) beyond.push('a'.repeat(Math.max(bound - 1, 0)), 'a'.repeat(bound), 'a'.repeat(bound + 1));
  }
  for (const bound of [schema.minItems, schema.maxItems]) {
    if (bound === undefined) continue;
    for (const length of [bound - 1, bound, bound + 1]) {
      beyond.push(Array.from({ length: Math.max(length, 0) }, (_, index) => `item ${index}`));
    }
  }
  const ways = [anything, valid(schema), valid(schema).map((value) => [value])];
  if (beyond.length > 0) ways.push(fc.constantFrom(...beyond));
  if (schema.items !== undefined) {
    const some = fc.array(valid(schema.items), { minLength: 1, maxLength: 3 });
    ways.push(
      fc.tuple(some, odd(schema.items)).map(([items, last]) => [...items, last]),
      some.map((items) => [...items, ...items]),
    );
  }
  return fc.oneof(...ways);
}

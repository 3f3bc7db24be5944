import { type ArgumentMetadata, Logger, type Type, ValidationPipe } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { getMetadataStorage, IsArray, IsInt, ValidateBy, ValidateNested } from 'class-validator';
import fc from 'fast-check';
import { CancelDto } from './bookings/booking.dto.js';
import { AppError } from './common/app-error.js';
import { compile } from './common/compiled-validation.js';
import { toAppError, validationPipe } from './common/validation.js';
import { REQUEST_BODIES } from './request-bodies.js';

/** What has to be equalled: class-validator's own way. */
const reference = new ValidationPipe({
  transform: true,
  whitelist: true,
  forbidNonWhitelisted: true,
  stopAtFirstError: true,
  exceptionFactory: toAppError,
});

/** What a pipe makes of a body: what the controller gets, or what the client is told. */
async function outcomeOf(pipe: ValidationPipe, body: unknown, metatype: Type): Promise<object> {
  const metadata: ArgumentMetadata = { type: 'body', metatype };
  try {
    const dto = (await pipe.transform(JSON.parse(JSON.stringify(body)), metadata)) as object;
    return { is: dto.constructor, fields: Object.entries(dto) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { code: error.code, message: error.message, details: error.details };
  }
}

const text = fc.stringMatching(/^[A-Za-z0-9]{1,8}( [a-z]{1,3})?$/);
const topics = fc.uniqueArray(text, { minLength: 1, maxLength: 12 });
const VALID: Record<string, fc.Arbitrary<unknown>> = {
  user_id: fc.stringMatching(/^[A-Za-z0-9]{1,8}$/),
  name: text,
  location: text,
  start: fc.constantFrom('2036-03-01 09:00:00', '2036-03-01T09:00:00.5+01:00'),
  end: fc.constantFrom('2036-03-01 17:00:00', '2036-02-29T17:00Z'),
  slots: fc.integer({ min: 1, max: 1_000_000 }),
  booking_id: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  topics,
};
const scalar = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1.5, 1e300, 1_000_001, '', ' ', 'a  b', 'ü', '7', '2036-02-30 09:00:00'),
  fc.constantFrom('a'.repeat(255), 'a'.repeat(256)),
  text,
  fc.integer(),
);
const list = fc.oneof(
  fc.array(scalar, { maxLength: 4 }),
  fc.array(text, { maxLength: 3 }).map((some) => [...some, ...some]),
  fc.uniqueArray(text, { minLength: 45, maxLength: 55 }),
  fc.constantFrom([], [[]], [['a']], [{}], ['a', { b: 1 }], { 0: 'a', length: 1 }),
);
/** Lists of which one member is wrong, or may be. */
const almost = fc
  .tuple(fc.uniqueArray(text, { minLength: 1, maxLength: 3 }), scalar)
  .map(([some, odd]) => [...some, odd]);
const ODD_FIELDS = ['unknown', 'User_id', 'toString', 'constructor', '__proto__', 'prototype'];

/** Bodies of which most fields are as they should be, and some are wrong, missing or unknown. */
function bodies(fields: string[]): fc.Arbitrary<unknown> {
  const wrong = fc.oneof(scalar, { weight: 3, arbitrary: list }, fc.constant({}), ...Object.values(VALID));
  const field = (name: string): fc.Arbitrary<[string, unknown][]> =>
    fc.oneof(
      { weight: 14, arbitrary: (VALID[name] ?? wrong).map((value): [string, unknown][] => [[name, value]]) },
      {
        weight: 3,
        arbitrary: (name === 'topics' ? fc.oneof(almost, wrong) : wrong).map((value): [string, unknown][] => [
          [name, value],
        ]),
      },
      { weight: 1, arbitrary: fc.constant<[string, unknown][]>([]) },
    );
  const odd = fc.oneof(
    { weight: 8, arbitrary: fc.constant<[string, unknown][]>([]) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...ODD_FIELDS), wrong).map((pair) => [pair]) },
  );
  return fc
    .tuple(...fields.map(field), odd)
    .chain((parts) => fc.shuffledSubarray(parts.flat(), { minLength: parts.flat().length }))
    .map((entries) => Object.fromEntries(entries) as unknown);
}

beforeAll(() => {
  Logger.overrideLogger(false);
});

describe.each(REQUEST_BODIES.map((dto): [string, Type] => [dto.name, dto]))('%s', (_name, dto) => {
  const fields = getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false);
  const names = [...new Set(fields.map(({ propertyName }) => propertyName))];

  it('is read and refused just as class-validator does it, and mostly without it', async () => {
    const read = compile(dto);
    const seen = { short: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(bodies(names), async (body) => {
        const expected = await outcomeOf(reference, body, dto);
        if ((read?.(body) ?? null) !== null) seen.short += 1;
        else if ('code' in expected) seen.refused += 1;
        expect(await outcomeOf(validationPipe, body, dto)).toEqual(expected);
      }),
      { numRuns: 1_000 },
    );
    expect(seen.short).toBeGreaterThan(100);
    expect(seen.refused).toBeGreaterThan(100);
  });
});

it('a field that may be left out may be left out on the short way, too', () => {
  expect(compile(CancelDto)?.({ booking_id: 1 })).toEqual({ booking_id: 1 });
});

class Transformed {
  @Transform(() => 1)
  @IsInt()
  count!: number;
}

class Nested {
  @ValidateNested()
  inner!: Transformed;
}

class Listed {
  @IsArray()
  items!: unknown[];
}

class Sometimes {
  @IsInt({ validateIf: () => false })
  count!: number;
}

class Later {
  @ValidateBy({ name: 'never', validator: { validate: () => Promise.resolve(false) } })
  count!: number;
}

class Undecorated {
  count!: number;
}

it.each([
  ['a transformation', Transformed, { count: 2 }],
  ['something nested', Nested, { inner: 'a' }],
  ['a list of anything', Listed, { items: [{ name: 'a' }] }],
  ['a condition among the options', Sometimes, { count: 'a' }],
  ['a check that takes its time', Later, { count: 1 }],
  ['nothing', Undecorated, { count: 1 }],
])('a class with %s goes the long way', async (_what, dto, body) => {
  expect(compile(dto)?.(body) ?? null).toBeNull();
  expect(await outcomeOf(validationPipe, body, dto)).toEqual(await outcomeOf(reference, body, dto));
});

import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiResponse } from '@nestjs/swagger';

export class FieldErrorDto {
  @ApiProperty({ example: 'slots', description: 'The field that is wrong.' })
  field!: string;

  @ApiProperty({ example: 'slots must be a whole number from 1 to 1000000' })
  message!: string;
}

export class ErrorDto {
  @ApiProperty({
    example: 'Conference not found: check its name',
    description: 'One sentence that says what to change.',
  })
  message!: string;

  @ApiProperty({
    example: 'CONFERENCE_NOT_FOUND',
    pattern: '^[A-Z][A-Z_]*$',
    description: 'A code that never changes.',
  })
  code!: string;

  @ApiProperty({ required: false, example: 'slots', description: 'The first field that is wrong, where one is.' })
  field?: string;

  @ApiProperty({ required: false, type: [FieldErrorDto], description: 'Every field that is wrong.' })
  errors?: FieldErrorDto[];
}

export const UNREADABLE = 'The path or the query cannot be read.';
export const RETRY_AFTER = { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' as const } } };
const UNAVAILABLE =
  'Nothing was done: overloaded, waited too long, or the database is away. Try again after `Retry-After` seconds.';

const WITH_RETRY_AFTER = new Set(['429', '503']);

/** The errors of a route in the document: its own, and those that every route has. */
export function ApiErrors(errors: Record<number, string>, hasBody: boolean): MethodDecorator {
  const all: Record<number, string> = {
    400: UNREADABLE,
    ...errors,
    ...(hasBody ? { 413: 'The body is larger than 64 KiB.', 415: 'The body is not JSON.' } : {}),
    408: 'The request took longer than 30 s to arrive. Send it again.',
    429: 'Too many requests within a minute. Come again after `Retry-After` seconds.',
    503: UNAVAILABLE,
  };
  return applyDecorators(
    ...Object.entries(all).map(([status, description]) =>
      ApiResponse({
        status: Number(status),
        description,
        type: ErrorDto,
        ...(WITH_RETRY_AFTER.has(status) ? { headers: RETRY_AFTER } : {}),
      }),
    ),
  );
}

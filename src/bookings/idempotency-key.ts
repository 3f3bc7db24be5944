import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader, ApiResponse } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../common/app-error.js';
import { ErrorDto } from '../common/error-responses.js';

const NAME = 'Idempotency-Key';
/** Set on an answer that is repeated. */
export const REPLAYED = 'Idempotency-Replayed';
const PRINTABLE = /^[\x20-\x7e]{1,255}$/;

/** The request's Idempotency-Key, or null where it has none. @throws AppError where it has one that is wrong */
export const IdempotencyKey = createParamDecorator((_: unknown, context: ExecutionContext): string | null => {
  const key = context.switchToHttp().getRequest<FastifyRequest>().headers[NAME.toLowerCase()];
  if (key === undefined) return null;
  if (typeof key === 'string' && PRINTABLE.test(key)) return key;
  const message = `${NAME} must be 1 to 255 printable ASCII characters`;
  throw new AppError('invalid', 'VALIDATION_FAILED', message, { field: NAME, errors: [{ field: NAME, message }] });
});

/** The key in the document: how it is sent, and what is refused for its sake. */
export function ApiIdempotencyKey(): MethodDecorator {
  return applyDecorators(
    ApiHeader({
      name: NAME,
      required: false,
      description: `Makes the request safe to send again: for 24 h the same key and body get the first answer, byte for byte, with \`${REPLAYED}: true\`, and nothing is done twice. A 503 is never kept.`,
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: PRINTABLE.source },
    }),
    ApiResponse({ status: 409, type: ErrorDto, description: 'The first request with this key is still running.' }),
    ApiResponse({ status: 422, type: ErrorDto, description: 'The key came with another body before.' }),
  );
}

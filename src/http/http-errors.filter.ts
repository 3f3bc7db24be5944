import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { databaseUnavailable, isDatabaseAway, isTransient } from '../database/failures.js';
import { AppError, type ErrorKind, TOKEN_MISSING } from '../common/app-error.js';

const STATUS: Record<ErrorKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  unsupported: 415,
  unprocessable: 422,
  too_many: 429,
  unavailable: 503,
};

const RETRY_AFTER_SECONDS = 1;

/** The body of every answer that is an error. */
export interface ErrorBody {
  message: string;
  code: string;
}

const UNREADABLE = new AppError(
  'invalid',
  'MALFORMED_REQUEST',
  'The request cannot be read: correct its URL, its headers or its body',
);

/** What the framework itself refuses, by its status, in our words. */
const FRAMEWORK_ERRORS: Record<number, AppError> = {
  400: UNREADABLE,
  404: new AppError('not_found', 'ROUTE_NOT_FOUND', 'Nothing is found at this path with this method: see /docs'),
  413: new AppError('too_large', 'BODY_TOO_LARGE', 'The body is too large: send at most 64 KiB'),
  414: new AppError('not_found', 'ROUTE_NOT_FOUND', 'Nothing is found at this path: it is too long'),
  415: new AppError(
    'unsupported',
    'UNSUPPORTED_MEDIA_TYPE',
    'The body must be JSON: send it with Content-Type: application/json',
  ),
};

/** What any failure is to a client: an AppError as it is, what the framework refused in our words, and null for a bug. */
export function toAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  if (isDatabaseAway(error) || isTransient(error)) return databaseUnavailable();
  const status = statusOf(error) ?? 500;
  return FRAMEWORK_ERRORS[status] ?? (status >= 400 && status < 500 ? UNREADABLE : null);
}

/** The one place where failures become HTTP. */
@Catch()
export class HttpErrorsFilter implements ExceptionFilter {
  private readonly logger = new Logger(HttpErrorsFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    if (host.getType() !== 'http') throw error;
    sendError(host.switchToHttp().getResponse<FastifyReply>(), error, this.logger);
  }
}

/** Answers with a failure. Only a bug, which is logged with its stack, is answered with 500. */
export function sendError(reply: FastifyReply, error: unknown, logger: Pick<Logger, 'error'>): void {
  const known = toAppError(error);
  if (known === null) {
    logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error), reply.request.cause);
    void reply.status(500).send({ message: 'The service made a mistake: it has been noted', code: 'INTERNAL_ERROR' });
    return;
  }
  if (known.kind === 'unavailable') void reply.header('Retry-After', String(RETRY_AFTER_SECONDS));
  // Who asks for a token of another kind has said so.
  if (known.kind === 'unauthenticated' && !reply.hasHeader('WWW-Authenticate'))
    void reply.header('WWW-Authenticate', challengeOf(known));
  const { status, body } = errorAnswer(known);
  void reply.status(status).send(body);
}

/** What a token is asked for with. Source: RFC 6750, section 3 */
function challengeOf({ code, message }: AppError): string {
  const challenge = 'Bearer realm="conference-booking"';
  return code === TOKEN_MISSING ? challenge : `${challenge}, error="invalid_token", error_description="${message}"`;
}

/** The status and the body that a failure is answered with. */
export function errorAnswer({ kind, code, message, details }: AppError): { status: number; body: ErrorBody } {
  return { status: STATUS[kind], body: { message, code, ...details } };
}

function statusOf(error: unknown): number | null {
  if (error instanceof HttpException) return error.getStatus();
  const hasStatus = typeof error === 'object' && error !== null && 'statusCode' in error;
  return hasStatus && typeof error.statusCode === 'number' ? error.statusCode : null;
}

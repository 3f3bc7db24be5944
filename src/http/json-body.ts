import { NotFoundException } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { AppError } from '../common/app-error.js';

export const BODY_LIMIT_BYTES = 64 * 1_024;

/** Takes JSON objects as bodies, and nothing else; and no field, of a body or a query, that every object has. */
export function acceptJsonObjects(fastify: FastifyInstance): void {
  // `__proto__` and `constructor.prototype` in a body are refused, not obeyed.
  const parse = fastify.getDefaultJsonParser('error', 'error');
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') {
      done(malformed('The body is empty: send a JSON object'));
      return;
    }
    void parse(request, text as string, (error, body: unknown) => {
      if (error !== null) done(malformed('The body is not valid JSON: correct its syntax'));
      else if (typeof body !== 'object' || body === null || Array.isArray(body)) {
        done(new AppError('invalid', 'VALIDATION_FAILED', 'The body must be a JSON object'));
      } else done(refuseInherited(body) ?? refuseNested(body), body);
    });
  });
  // A body is read for somebody: at a path that is not found it may be anything.
  fastify.addHook('preParsing', (request, _reply, _payload, done) => {
    done(request.is404 ? new NotFoundException() : null);
  });
  fastify.addHook('preValidation', ({ query }, _reply, done) => {
    done(refuseInherited(query as object) ?? undefined);
  });
}

/** What every object inherits is no field either, and `prototype` is none: the validation does not see them. */
function refuseInherited(fields: object): AppError | null {
  const field = Object.keys(fields).find((key) => key in Object.prototype || key === 'prototype');
  if (field === undefined) return null;
  const message = `${field} is not a field of this request: remove it`;
  return new AppError('invalid', 'VALIDATION_FAILED', message, { field, errors: [{ field, message }] });
}

/** Fields are plain values or lists of them. What is nested far deeper is refused before anything recurses into it. */
function refuseNested(body: object): AppError | null {
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
  const inner = (value: unknown): unknown[] => (isObject(value) ? Object.values(value).filter(isObject) : []);
  const nested = Object.entries(body).find(([, value]) => inner(value).flatMap(inner).length > 0);
  if (nested === undefined) return null;
  const [field] = nested;
  const message = `${field} must be a plain value or a list of plain values`;
  return new AppError('invalid', 'VALIDATION_FAILED', message, { field, errors: [{ field, message }] });
}

function malformed(message: string): AppError {
  return new AppError('invalid', 'MALFORMED_JSON', message);
}

import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { AppError } from '../common/app-error.js';

/** Who sends a request. */
export type Caller =
  /** Nobody is asked who they are (`AUTH_MODE=off`): everything is allowed. */
  | { readonly kind: 'anybody' }
  /** There is no token, or a bad one. */
  | { readonly kind: 'unknown'; readonly reason: AppError }
  | { readonly kind: 'attendee' | 'organizer'; readonly userId: string };

export const ANYBODY: Caller = { kind: 'anybody' };

/** Who sends the request. */
export const CalledBy = createParamDecorator(
  (_: unknown, context: ExecutionContext): Caller => context.switchToHttp().getRequest<FastifyRequest>().caller,
);

/** Whether a caller may see what is this user's. */
export function maySee(caller: Caller, userId: string): boolean {
  return (
    caller.kind === 'anybody' || caller.kind === 'organizer' || (caller.kind === 'attendee' && caller.userId === userId)
  );
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Known from the first hook on: see authenticator.ts. */
    caller: Caller;
  }
}

import type { AppError } from '../common/app-error.js';

/** Who sends a request. */
export type Caller =
  /** Nobody is asked who they are (`AUTH_MODE=off`): everything is allowed. */
  | { readonly kind: 'anybody' }
  /** There is no token, or a bad one. */
  | { readonly kind: 'unknown'; readonly reason: AppError }
  | { readonly kind: 'attendee' | 'organizer'; readonly userId: string };

export const ANYBODY: Caller = { kind: 'anybody' };

declare module 'fastify' {
  interface FastifyRequest {
    /** Known from the first hook on: see authenticator.ts. */
    caller: Caller;
  }
}

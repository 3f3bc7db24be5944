import { applyDecorators, type CanActivate, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiBearerAuth, ApiResponse } from '@nestjs/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../common/app-error.js';
import { ErrorDto } from '../common/error-responses.js';
import type { Caller } from './caller.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    policy?: Policy;
  }
}

/**
 * Who may use a route.
 * - `open`: everybody, without a token
 * - `signed in`: everybody with a token; what of it is theirs, the handler sees to
 * - `own user`: the `user_id` that the path or the body names is the caller's own
 * - `own user, or organizers`: the same, and organizers for anybody
 * - `organizers`: nobody else
 */
export type Policy = 'open' | 'signed in' | 'own user' | 'own user, or organizers' | 'organizers';

const POLICY = Symbol('POLICY');

/** Declares who may use a route. A route that declares nothing is closed. */
export function Access(policy: Policy): MethodDecorator {
  // Nest's guard goes by the handler, and Fastify's hook by the route.
  const declared = applyDecorators(SetMetadata(POLICY, policy), RouteConfig({ policy }));
  if (policy === 'open') return declared;
  return applyDecorators(
    declared,
    ApiBearerAuth(),
    ApiResponse({
      status: 401,
      type: ErrorDto,
      description: 'There is no token, or it is not accepted.',
      headers: { 'WWW-Authenticate': { description: 'How to say who you are', schema: { type: 'string' as const } } },
    }),
    ...(policy === 'signed in'
      ? []
      : [ApiResponse({ status: 403, type: ErrorDto, description: `Not for this caller: ${FOR[policy]}.` })]),
  );
}

const FOR: Record<Exclude<Policy, 'open' | 'signed in'>, string> = {
  'own user': 'only with one’s own `user_id`',
  'own user, or organizers': 'only with one’s own `user_id`, or for organizers',
  organizers: 'only for organizers',
};

/** What a route declares; undefined: nothing. */
export function policyOf(handler: object): Policy | undefined {
  return Reflect.getMetadata(POLICY, handler) as Policy | undefined;
}

/** Refuses whoever is unknown, where one must be known, before anything of their body is read. */
export function refuseUnknown(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', ({ routeOptions, caller }, _reply, done) => {
    const { policy } = routeOptions.config;
    // What is no route of a controller has none: whether there is anything is no secret.
    const refusal = caller.kind === 'unknown' && policy !== undefined ? refusalOf(policy, caller, undefined) : null;
    done(refusal ?? undefined);
  });
}

/** Lets through whom the route is for. */
export class AccessGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const policy = policyOf(context.getHandler());
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const refusal = refusalOf(policy, request.caller, namedUser(request));
    if (refusal !== null) throw refusal;
    return true;
  }
}

/**
 * Why a caller may not use a route; null: they may.
 * @param userId whom the request names, as it came and not checked yet; undefined: nobody
 */
export function refusalOf(policy: Policy | undefined, caller: Caller, userId: unknown): AppError | null {
  if (policy === undefined) return new AppError('forbidden', 'FORBIDDEN', 'Nobody may do this: see /docs');
  if (policy === 'open' || caller.kind === 'anybody') return null;
  if (caller.kind === 'unknown') return caller.reason;
  if (policy === 'signed in' || (caller.kind === 'organizer' && policy !== 'own user')) return null;
  if (policy === 'organizers') {
    return new AppError('forbidden', 'ORGANIZERS_ONLY', 'Only organizers may do this: send the token of one');
  }
  // What is no text at all is refused for its shape.
  if (typeof userId !== 'string' || userId === caller.userId) return null;
  return new AppError('forbidden', 'NOT_YOUR_USER_ID', `user_id must be your own: ${caller.userId}`);
}

/** The `user_id` of the path, or else of the body. */
function namedUser({ params, body }: FastifyRequest): unknown {
  return memberOf(params, 'user_id') ?? memberOf(body, 'user_id');
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

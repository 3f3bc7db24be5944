import { Logger } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { errors, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { AppError, TOKEN_MISSING } from '../common/app-error.js';
import { USER_ID } from '../common/text.js';
import type { Auth } from '../config/environment.js';
import { ANYBODY, type Caller } from './caller.js';
import { hasRole, ORGANIZER } from './roles.js';
import { CLOCK_TOLERANCE_S, type TokenCheck, tokenCheckOf } from './token-check.js';

const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i;

/** A token that was checked counts for so long, ms, without another check, as the keys of a provider are kept for so long. */
const CHECKED_FOR_MS = 600_000;
const CHECKED_MOST = 50_000;
/** Longer ones are checked each time. */
const CHECKED_LENGTH_MOST = 2_048;

interface Checked {
  caller: Caller;
  /** By `Date.now()`, as tokens expire by it. */
  until: number;
}

/** Finds out who sends a request, by the token that it bears. */
export class Authenticator {
  private readonly logger = new Logger(Authenticator.name);
  private readonly check: TokenCheck | null;
  private readonly isRemote: boolean;
  /** By the whole header, as it was sent. */
  private readonly checked = new LRUCache<string, Checked>({ max: CHECKED_MOST });
  private isProviderAway = false;

  constructor(private readonly auth: Auth) {
    this.check = auth.mode === 'off' ? null : tokenCheckOf(auth, CHECKED_FOR_MS);
    this.isRemote = auth.mode === 'jwt' && 'jwksUrl' in auth.keys;
  }

  /** Who bears this `Authorization` header. At once where its token can be checked at once, or was a moment ago. Never rejects. */
  identify(authorization: string | undefined): Caller | Promise<Caller> {
    if (this.check === null) return ANYBODY;
    if (authorization === undefined) return { kind: 'unknown', reason: tokenMissing() };
    const known = this.checked.get(authorization);
    if (known !== undefined && known.until > Date.now()) return known.caller;
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) return { kind: 'unknown', reason: tokenInvalid('it is not sent as Bearer <token>') };
    const claims = this.check.atOnce(token);
    return claims === null ? this.examine(authorization, token, this.check) : this.admit(authorization, claims);
  }

  private async examine(authorization: string, token: string, check: TokenCheck): Promise<Caller> {
    try {
      const claims = await check.inFull(token);
      if (this.isProviderAway) this.logger.log('The keys of the identity provider can be read again');
      this.isProviderAway = false;
      return this.admit(authorization, claims);
    } catch (error) {
      return { kind: 'unknown', reason: this.reasonOf(error) };
    }
  }

  private admit(authorization: string, claims: JWTPayload): Caller {
    const caller = this.callerOf(claims);
    if (caller.kind !== 'unknown') this.remember(authorization, caller, claims.exp ?? 0);
    return caller;
  }

  private callerOf(claims: JWTPayload): Caller {
    // It is a string where whoever issued the token wrote one.
    const sub: unknown = claims.sub;
    if (typeof sub !== 'string' || !USER_ID.test(sub)) {
      return { kind: 'unknown', reason: tokenInvalid('its sub is no user_id of 1 to 255 ASCII letters and digits') };
    }
    const isOrganizer = this.auth.mode === 'jwt' && hasRole(claims, this.auth.roleClaim, ORGANIZER);
    return { kind: isOrganizer ? 'organizer' : 'attendee', userId: sub };
  }

  private remember(authorization: string, caller: Caller, expiresAt: number): void {
    if (authorization.length > CHECKED_LENGTH_MOST) return;
    const until = Math.min(Date.now() + CHECKED_FOR_MS, (expiresAt + CLOCK_TOLERANCE_S) * 1_000);
    this.checked.set(authorization, { caller, until });
  }

  private reasonOf(error: unknown): AppError {
    if (error instanceof errors.JWTExpired) {
      return new AppError('unauthenticated', 'TOKEN_EXPIRED', 'The token has expired: get a new one');
    }
    if (error instanceof errors.JWTClaimValidationFailed) {
      return tokenInvalid(`its ${error.claim} ${error.reason === 'missing' ? 'is missing' : 'is not the right one'}`);
    }
    if (this.isRemote && isProviderAway(error)) {
      if (!this.isProviderAway) this.logger.error(`The keys of the identity provider cannot be read: ${String(error)}`);
      this.isProviderAway = true;
      return new AppError(
        'unavailable',
        'IDENTITY_PROVIDER_UNAVAILABLE',
        'Tokens cannot be checked at the moment: try again shortly',
      );
    }
    return tokenInvalid('its form or its signature is not right');
  }
}

/** Has every request know its caller before anything else looks at it. */
export function identifyCallers(fastify: FastifyInstance, auth: Auth): void {
  const authenticator = new Authenticator(auth);
  fastify.decorateRequest('caller');
  fastify.addHook('onRequest', (request, _reply, done) => {
    const caller = authenticator.identify(request.headers.authorization);
    if (caller instanceof Promise) {
      void caller.then((known) => {
        request.caller = known;
        done();
      });
    } else {
      request.caller = caller;
      done();
    }
  });
}

/** Whatever is not about the token is about the keys: they could not be fetched, or are no keys. */
function isProviderAway(error: unknown): boolean {
  return (
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === errors.JOSEError.code
  );
}

function tokenMissing(): AppError {
  return new AppError(
    'unauthenticated',
    TOKEN_MISSING,
    'Say who you are: send a token as Authorization: Bearer <token>',
  );
}

function tokenInvalid(why: string): AppError {
  return new AppError('unauthenticated', 'TOKEN_INVALID', `The token is not accepted, ${why}: get a new one`);
}

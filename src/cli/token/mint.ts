import { SignJWT } from 'jose';
import { claimsWithRole } from '../../access/roles.js';
import type { Auth } from '../../config/environment.js';
import { CannotRun } from '../client-program.js';
import type { TokenOptions } from './arguments.js';

/** A token that a service with these settings accepts. @throws CannotRun where it is not this secret that signs its tokens */
export function mintToken(auth: Auth, { sub, role, ttlSeconds }: TokenOptions): Promise<string> {
  if (auth.mode === 'off') {
    throw new CannotRun('Nobody is asked for a token where AUTH_MODE is off: set AUTH_MODE=jwt and JWT_SECRET.');
  }
  if (!('secret' in auth.keys)) {
    throw new CannotRun(
      'Tokens come from the identity provider of JWT_JWKS_URL: ask it for one, or set JWT_SECRET instead.',
    );
  }
  if (auth.keys.secret === '') throw new CannotRun('Set JWT_SECRET to that of the service: it signs the tokens.');
  const now = Math.floor(Date.now() / 1_000);
  const token = new SignJWT(role === null ? {} : claimsWithRole(auth.roleClaim, role))
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(sub)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlSeconds);
  if (auth.issuer !== null) token.setIssuer(auth.issuer);
  if (auth.audience !== null) token.setAudience(auth.audience);
  return token.sign(new TextEncoder().encode(auth.keys.secret));
}

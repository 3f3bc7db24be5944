import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { base64url, createRemoteJWKSet, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';
import type { Auth } from '../config/environment.js';

/** Of two clocks that are compared in seconds. */
export const CLOCK_TOLERANCE_S = 5;
/** Whoever holds the private key signs with one of these; a shared secret is for HS256 alone. */
const SIGNATURES = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
/** The header of a token of HS256 as issuers write it. */
const HEADERS = ['{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT"}', '{"typ":"JWT","alg":"HS256"}'];
/** A token with one of them: what is signed, of that the claims, and the signature. */
const USUAL = new RegExp(
  `^((?:${HEADERS.map((header) => base64url.encode(header)).join('|')})\\.([\\w-]+))\\.([\\w-]{43})$`,
);
const utf8 = new TextDecoder('utf-8', { fatal: true });

type JwtAuth = Extract<Auth, { mode: 'jwt' }>;

/** Says whether a token is good, and what it claims. */
export interface TokenCheck {
  /** The claims of a token that is surely good; null: `inFull` decides. */
  atOnce(token: string): JWTPayload | null;
  /** @throws what is wrong, an error of jose; any other error, or one without a code of its own, is about the keys */
  inFull(token: string): Promise<JWTPayload>;
}

/** @param keysKeptMs how long the keys of an identity provider count before they are fetched again */
export function tokenCheckOf(auth: JwtAuth, keysKeptMs: number): TokenCheck {
  const options: JWTVerifyOptions = {
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(auth.issuer === null ? {} : { issuer: auth.issuer }),
    ...(auth.audience === null ? {} : { audience: auth.audience }),
  };
  if ('jwksUrl' in auth.keys) {
    const keys = createRemoteJWKSet(new URL(auth.keys.jwksUrl), { cacheMaxAge: keysKeptMs });
    return {
      atOnce: () => null,
      inFull: async (token) => (await jwtVerify(token, keys, { ...options, algorithms: SIGNATURES })).payload,
    };
  }
  const secret = Buffer.from(auth.keys.secret);
  // Made once: from its bytes it would be made for each token, at twice the cost.
  const key = crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  return {
    atOnce: shortWay(createSecretKey(secret), auth),
    inFull: async (token) => (await jwtVerify(token, await key, { ...options, algorithms: ['HS256'] })).payload,
  };
}

/**
 * jose verifies on another thread, at several times the cost of a signature: a good token of the usual form is let through
 * without it. The short way only ever says yes, and only where jose does (a property test compares the two); what is
 * unusual, and whatever is wrong, is left to jose.
 */
function shortWay(key: KeyObject, { issuer, audience }: JwtAuth): TokenCheck['atOnce'] {
  return (token) => {
    const [, signed = '', encoded = '', signature = ''] = USUAL.exec(token) ?? [];
    if (signed === '' || !isSame(signature, createHmac('sha256', key).update(signed).digest('base64url'))) return null;
    const claims = parse(encoded);
    if (claims === null) return null;
    const { sub, exp, nbf, iat, iss, aud } = claims;
    const isGood =
      typeof sub === 'string' &&
      typeof exp === 'number' &&
      exp * 1_000 > Date.now() &&
      (nbf === undefined || (typeof nbf === 'number' && nbf * 1_000 <= Date.now())) &&
      (iat === undefined || typeof iat === 'number') &&
      (issuer === null || iss === issuer) &&
      (audience === null || aud === audience);
    return isGood ? claims : null;
  };
}

function parse(encoded: string): JWTPayload | null {
  try {
    const claims: unknown = JSON.parse(utf8.decode(base64url.decode(encoded)));
    return typeof claims === 'object' ? (claims as JWTPayload | null) : null;
  } catch {
    return null;
  }
}

/** Takes as long wherever two of one length differ. */
function isSame(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

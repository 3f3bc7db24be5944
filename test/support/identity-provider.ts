import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

export const ISSUER = 'https://identity.example';
export const AUDIENCE = 'conference-booking';

/** What a token says beside its `sub`; null: it says nothing of it. */
export interface Claims {
  sub?: string | null;
  iss?: string | null;
  aud?: string | null;
  /** In so many seconds. */
  expiresIn?: number | null;
  [claim: string]: unknown;
}

/** The claims of a good token, with these differences. */
export function claimsOf({ expiresIn = 600, ...claims }: Claims): JWTPayload {
  const exp = expiresIn === null ? null : Math.floor(Date.now() / 1_000) + expiresIn;
  const all = { sub: 'ada1', iss: ISSUER, aud: AUDIENCE, ...claims, exp };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

/** A token signed with a shared secret. */
export function signWithSecret(secret: string, claims: Claims = {}, alg = 'HS256'): Promise<string> {
  return new SignJWT(claimsOf(claims)).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));
}

/** A token without a signature. */
export function unsigned(claims: Claims = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claimsOf(claims))}.`;
}

/** Serves the public half of its key, and signs tokens with the private one. */
export class IdentityProvider {
  private constructor(
    private readonly server: Server,
    private readonly keys: Awaited<ReturnType<typeof generateKeyPair>>,
  ) {}

  /** @param port a free one unless told */
  static async start(port = 0): Promise<IdentityProvider> {
    const keys = await generateKeyPair('RS256', { extractable: true });
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
    const server = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
    return new IdentityProvider(server, keys);
  }

  get jwksUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/keys`;
  }

  sign(claims: Claims = {}): Promise<string> {
    return new SignJWT(claimsOf(claims)).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(this.keys.privateKey);
  }

  /** The public key as everybody can read it. */
  publicKey(): Promise<string> {
    return exportSPKI(this.keys.publicKey);
  }

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((closed) => this.server.close(() => closed()));
  }
}

import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/**
 * What a browser is told of every answer. Written out, and set in a hook of ours: @fastify/helmet puts them together anew for
 * each request, which takes 5 µs and more, and this 1 µs. HTTPS, and so Strict-Transport-Security, is the gateway's.
 */
const OF_JSON = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Swagger UI runs its own scripts, asks this service, and has its styles and pictures in its page. */
const OF_DOCS = {
  ...OF_JSON,
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

/** The headers of whatever is answered at this path. */
export function securityHeaders(url: string): Readonly<Record<string, string>> {
  return url.startsWith('/docs') ? OF_DOCS : OF_JSON;
}

/** Lets the pages of these origins ask, and read what they are answered. With none there is no CORS, and nothing is loaded. */
export function allowOrigins(app: NestFastifyApplication, origins: string[]): void {
  if (origins.length === 0) return;
  app.enableCors({
    origin: origins,
    methods: ['GET', 'POST'],
    allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-Request-Id'],
    exposedHeaders: [
      'RateLimit-Limit',
      'RateLimit-Remaining',
      'RateLimit-Reset',
      'Retry-After',
      'Link',
      'Idempotency-Replayed',
      'X-Request-Id',
    ],
    // Browsers ask again after 2 h at the latest.
    maxAge: 7_200,
    // Any OPTIONS is taken for a preflight: where it is refused for being none, it is not in JSON.
    strictPreflight: false,
  });
}

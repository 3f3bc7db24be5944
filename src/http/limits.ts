import type { Server } from 'node:http';
import type { FastifyRateLimitStore } from '@fastify/rate-limit';
import type { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { AppError } from '../common/app-error.js';
import type { Environment } from '../config/environment.js';

const WINDOW_MS = 60_000;
const TELL_AGAIN_MS = 60_000;
/** So many callers are remembered, whoever was seen last: some 3 MB. */
const CALLERS_MOST = 10_000;
/** What one subscriber has of IPv6 addresses. */
const SUBSCRIBER_BITS = 64;

/**
 * Answers a caller's requests above so many a minute with 429. Each instance counts for itself, in memory. Who is no known
 * user counts by address, so that nobody escapes by making up one token after the other. 0: nothing is counted, nor loaded.
 */
export async function limitRequests(fastify: FastifyInstance, perMinute: number): Promise<void> {
  if (perMinute === 0) return;
  const { default: rateLimit, normalizeIP } = await import('@fastify/rate-limit');
  const networkOf = remembered((address) => normalizeIP(address, SUBSCRIBER_BITS));
  await fastify.register(rateLimit, {
    // A hook for all routes, in place of one for each: what is not found counts, too.
    global: false,
    max: perMinute,
    timeWindow: WINDOW_MS,
    store: Counts,
    enableDraftSpec: true,
    keyGenerator: ({ caller, ip }: FastifyRequest) =>
      // Whoever has hung up meanwhile has no address any more.
      'userId' in caller ? `user:${caller.userId}` : `address:${networkOf((ip as string | undefined) ?? '')}`,
    errorResponseBuilder: (_request, { ttl }) =>
      new AppError('too_many', 'RATE_LIMITED', `Too many requests: come again in ${Math.ceil(ttl / 1_000)} s`),
  });
  const count = fastify.rateLimit();
  fastify.addHook('onRequest', (request, reply, done) => {
    if (isProbe(request.url)) done();
    else count.call(fastify, request, reply).then(() => done(), done);
  });
}

/**
 * How often each caller has asked within their minute. The plugin's own store hands out the count itself, and so each request
 * was told what later ones had made of it before it looked: of 600 at once, with 300 allowed, all were refused.
 */
class Counts implements FastifyRateLimitStore {
  private readonly minutes = new LRUCache<string, { since: number; count: number }>({ max: CALLERS_MOST });

  incr(caller: string, tell: Parameters<FastifyRateLimitStore['incr']>[1]): void {
    const now = performance.now();
    let minute = this.minutes.get(caller);
    if (minute === undefined || now - minute.since >= WINDOW_MS) {
      minute = { since: now, count: 0 };
      this.minutes.set(caller, minute);
    }
    minute.count += 1;
    tell(null, { current: minute.count, ttl: WINDOW_MS - (now - minute.since) });
  }

  child(): this {
    return this;
  }
}

type TrustProxy = false | string[] | ((address: string, hop: number) => boolean);

/** Whose `X-Forwarded-For` Fastify believes. Hops are counted here: given a number, it believes nobody. */
export function trustOf({ http: { trustProxy } }: Environment): TrustProxy {
  if (trustProxy === 0) return false;
  return typeof trustProxy === 'number' ? (_address, hop) => hop < trustProxy : trustProxy;
}

/** Closes every connection above so many as soon as it comes, and says so once a minute. */
export function limitConnections(server: Server, most: number, log: Pick<Logger, 'warn'>): void {
  server.maxConnections = most;
  let toldAt = -Infinity;
  server.on('drop', () => {
    if (performance.now() - toldAt < TELL_AGAIN_MS) return;
    toldAt = performance.now();
    log.warn(`There are ${most} connections, and whoever comes now is not let in: see MAX_CONNECTIONS`);
  });
}

/** Whether somebody asks who decides by the answer whether this instance is well. */
function isProbe(url: string): boolean {
  return url.startsWith('/health/') || url === '/metrics';
}

/** To read an IPv6 address takes ten times as long as all the rest. Where too many are remembered it begins anew. */
function remembered(find: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    let found = known.get(text);
    if (found === undefined) {
      if (known.size >= CALLERS_MOST) known.clear();
      found = find(text);
      known.set(text, found);
    }
    return found;
  };
}

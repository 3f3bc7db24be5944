import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { AppError } from '../common/app-error.js';
import type { Environment } from '../config/environment.js';
import { countFacts } from './counts.js';
import { MetricsServer } from './metrics-server.js';
import { observeRequests } from './requests.js';
import { type Parts, tellState } from './state.js';

/**
 * Measures an instance, and serves what it measured at `/metrics`: on a port of its own, and to whoever has the token on
 * the service's port, as the environment says. It begins and ends with the instance.
 */
export function serveMetrics(fastify: FastifyInstance, environment: Environment, parts: Parts): void {
  const { http, metrics } = environment;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  tellState(registry, parts, environment);
  observeRequests(fastify, registry);
  const endCounting = countFacts(registry);
  fastify.addHook('onClose', () => endCounting());
  if (metrics?.token) serveWithToken(fastify, registry, metrics.token);
  if (!metrics?.port) return;
  const server = new MetricsServer(registry);
  const { port } = metrics;
  fastify.addHook('onReady', () => server.listen(port, http.host));
  fastify.addHook('onClose', () => server.close());
}

function serveWithToken(fastify: FastifyInstance, registry: Registry, token: string): void {
  const expected = digest(token);
  fastify.get('/metrics', async ({ headers }, reply) => {
    const sent = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    // Digests are of one length, and take the same time to compare wherever they differ.
    if (sent === undefined || !timingSafeEqual(digest(sent), expected)) {
      void reply.header('WWW-Authenticate', 'Bearer realm="metrics"');
      throw new AppError(
        'unauthenticated',
        'UNAUTHENTICATED',
        'Send the METRICS_TOKEN in Authorization: Bearer <token>',
      );
    }
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

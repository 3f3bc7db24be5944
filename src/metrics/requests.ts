import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';

/** Around the bar of 60 ms for the 99th percentile; a command waits 5 s at most. */
const SECONDS = [0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 2, 5, 10];
/** What nginx calls it when a client is gone before it has an answer. */
const CLIENT_GONE = 499;
const UNKNOWN = 'unknown';

/** Counts requests and how long they took, by the pattern of their route: what anybody may send is no label. */
export function observeRequests(fastify: FastifyInstance, registry: Registry): void {
  const durations = new Histogram({
    name: 'booking_http_request_duration_seconds',
    help: 'Requests by method, route and status, and how long they took to the end of the answer.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: SECONDS,
    registers: [registry],
  });
  // To make the labels anew for each request would cost twice as much.
  const kept = new Map<string, Histogram.Internal<'method' | 'route' | 'status'>>();
  fastify.addHook('onResponse', (request, reply, done) => {
    const { url } = request.routeOptions;
    const [method, route] = url === undefined ? [UNKNOWN, UNKNOWN] : [request.method, url];
    const status = reply.raw.headersSent ? reply.statusCode : CLIENT_GONE;
    const key = `${method} ${route} ${status}`;
    let duration = kept.get(key);
    if (duration === undefined) {
      duration = durations.labels(method, route, String(status));
      kept.set(key, duration);
    }
    duration.observe(reply.elapsedTime / 1_000);
    done();
  });
}

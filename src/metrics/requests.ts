import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';
import { keep } from './keep.js';

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
  const durationOf = keep((route: string) =>
    keep((method: string) => keep((status: number) => durations.labels(method, route, String(status)))),
  );
  fastify.addHook('onResponse', (request, reply, done) => {
    const { url } = request.routeOptions;
    const [method, route] = url === undefined ? [UNKNOWN, UNKNOWN] : [request.method, url];
    const status = reply.raw.headersSent ? reply.statusCode : CLIENT_GONE;
    durationOf(route)(method)(status).observe(reply.elapsedTime / 1_000);
    done();
  });
}

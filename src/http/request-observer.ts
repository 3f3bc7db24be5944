import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../access/caller.js';
import { Cause } from '../common/cause.js';
import type { ServiceLog } from '../common/logger.js';
import type { Span, Tracer } from '../common/spans.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Known from the first hook on. */
    cause: Cause;
  }
}

/** What asks often, and is of interest only when it is looked for. */
const QUIET = /^\/(health\/|metrics$)/;
const SERVER_ERROR = 500;

/** Gives each request its cause, its answer the header `X-Request-Id`, and when it is over the log a line and its trace an end. */
export class RequestObserver {
  constructor(
    private readonly log: Pick<ServiceLog, 'request'> | null,
    private readonly tracer: Tracer | null,
  ) {}

  /** To be called before any other hook is added. */
  watch(fastify: FastifyInstance): void {
    // Each has its own: a request is of one shape from its beginning.
    fastify.decorateRequest('cause');
    fastify.addHook('onRequest', (request, reply, done) => {
      this.observe(request, reply);
      done();
    });
  }

  /** For a request that no hook sees: what the framework refuses before it looks for a route. */
  observe(request: FastifyRequest, reply: FastifyReply): void {
    const since = performance.now();
    const { method } = request;
    const route = request.is404 ? null : (request.routeOptions.url ?? null);
    // Without the query. Where there is no route it means nothing to us, and may be anything.
    const path = route === null ? null : pathOf(request.url);
    const isQuiet = route !== null && QUIET.test(route);
    const span = isQuiet ? null : this.beginSpan(request, route, path);
    const cause = new Cause([request.id], span);
    request.cause = cause;
    void reply.header('X-Request-Id', request.id);
    // A socket that is closed does not tell any more.
    const { ip } = request;
    // Also when the client is gone before there is an answer.
    reply.raw.once('close', () => {
      const { headersSent, writableFinished, statusCode } = reply.raw;
      const status = headersSent ? statusCode : null;
      const ms = Math.round((performance.now() - since) * 10) / 10;
      this.log?.request(
        isQuiet ? 'debug' : 'info',
        { method, route, path, status, ms, address: ip, userId: userIdOf(request), isAborted: !writableFinished },
        cause,
      );
      span?.end({
        attributes: status === null ? {} : { 'http.response.status_code': status },
        ...(!writableFinished && { failure: 'aborted' }),
        ...(status !== null && status >= SERVER_ERROR && { failure: String(status) }),
      });
    });
  }

  /** For what was no HTTP. */
  refused(status: number, socket: Socket, cause: Cause): void {
    const address = socket.remoteAddress ?? null;
    const nothing = { method: null, route: null, path: null, ms: null, userId: null, isAborted: false };
    this.log?.request('info', { ...nothing, status, address }, cause);
  }

  private beginSpan(request: FastifyRequest, route: string | null, path: string | null): Span | null {
    if (this.tracer === null) return null;
    return this.tracer.begin(
      {
        name: route === null ? request.method : `${request.method} ${route}`,
        kind: 'server',
        attributes: {
          'http.request.method': request.method,
          'url.scheme': request.protocol,
          ...(route !== null && { 'http.route': route }),
          ...(path !== null && { 'url.path': path }),
          'client.address': request.ip,
        },
      },
      request.headers.traceparent,
    );
  }
}

function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** Null where nobody was asked who they are, or a request was over before. */
function userIdOf({ caller }: { caller?: Caller }): string | null {
  return caller !== undefined && 'userId' in caller ? caller.userId : null;
}

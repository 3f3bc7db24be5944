import type { IncomingMessage } from 'node:http';
import { Logger, type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AccessGuard, refuseUnknown } from './access/access.js';
import { identifyCallers } from './access/authenticator.js';
import { AppModule } from './app.module.js';
import { Cause, requestIdFrom } from './common/cause.js';
import type { ServiceLog } from './common/logger.js';
import { TRACER, type Tracer } from './common/spans.js';
import { Database } from './database/database.js';
import { DatabaseGuard } from './health/database.guard.js';
import { allowOrigins, securityHeaders } from './http/browsers.js';
import { answerClientError } from './http/client-errors.js';
import { HttpErrorsFilter, sendError } from './http/http-errors.filter.js';
import { acceptJsonObjects, BODY_LIMIT_BYTES } from './http/json-body.js';
import { limitConnections, limitRequests, trustOf } from './http/limits.js';
import { RequestObserver } from './http/request-observer.js';
import { goByTurns } from './http/turns.js';
import { validationPipe } from './common/validation.js';
import type { Environment } from './config/environment.js';
import { Drain } from './health/drain.js';
import { connectTimers } from './messaging/messaging.module.js';
import { TimerPublisher } from './messaging/timer-publisher.js';
import { TimerServer } from './messaging/timer-server.js';
import { serveDocs } from './openapi.js';
import { BoxOffice } from './seating/box-office.js';

/** A path holds a name of up to 255 characters, each percent-encoded. */
const PARAMETER_MOST = 3 * 255;
/** The headers of a request are there within this, counted from the connection or from their first byte. */
const HEADERS_TIMEOUT_MS = 10_000;
/** All of a request is there within this. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often it is looked who is too late: the other two are late by so much at most. */
const LOOK_FOR_LATE_MS = 1_000;

/**
 * The whole application for its role, not listening and not connected yet.
 * @param logger has a line for each request where it can write one
 */
export async function createApplication(
  environment: Environment,
  logger?: LoggerService | ServiceLog | false,
): Promise<NestFastifyApplication> {
  const log = new Logger('Http');
  const requestLog = logger !== undefined && logger !== false && 'request' in logger ? logger : null;
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_LIMIT_BYTES,
    genReqId: ({ headers }: IncomingMessage) => requestIdFrom(headers['x-request-id']),
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      // Refused by us, in JSON, where it matters: nothing here depends on it.
      requireHostHeader: false,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: LOOK_FOR_LATE_MS,
    },
    trustProxy: trustOf(environment),
    // Whoever is still connected while the service stops is served to the end.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAMETER_MOST },
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      observer.observe(request, reply);
      // No hook is run for what has no path that can be read.
      sendError(reply.headers(securityHeaders(request.url)), error, log);
    },
    clientErrorHandler: (error, socket) => {
      const cause = new Cause([requestIdFrom(null)], null);
      const status = answerClientError(error, socket, cause.requestIds[0]);
      if (status !== null) observer.refused(status, socket, cause);
    },
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.for(environment), adapter, {
    bodyParser: false,
    bufferLogs: false,
    abortOnError: false,
    ...(logger === undefined ? {} : { logger }),
  });
  const fastify: FastifyInstance = adapter.getInstance();
  const observer = new RequestObserver(requestLog, app.get<Tracer | null>(TRACER));
  observer.watch(fastify);
  acceptJsonObjects(fastify);
  // An expectation that nobody knows is no reason to refuse: the request is answered as any other.
  const server = app.getHttpServer();
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  limitConnections(server, environment.http.maxConnections, log);
  const drain = app.get(Drain);
  server.on('connection', () => drain.countArrival());
  fastify.addHook('onRequest', (request, _reply, done) => {
    drain.countArrival();
    // Who asks for the health wants to know now.
    if (drain.hold === null || request.url.startsWith('/health/')) done();
    else void drain.hold.then(() => done());
  });
  goByTurns(fastify);
  identifyCallers(fastify, environment.auth);
  allowOrigins(app, environment.http.corsOrigins);
  await limitRequests(fastify, environment.limits.requestsPerMinute);
  refuseUnknown(fastify);
  fastify.addHook('onSend', ({ url }, reply, payload, done) => {
    void reply.headers(securityHeaders(url));
    if (drain.isDraining) void reply.header('Connection', 'close');
    done(null, payload);
  });
  fastify.addHook('onResponse', (request, _reply, done) => {
    // A long answer that had begun before the stop could not say yet that the connection would be closed.
    if (drain.isDraining && !server.listening) request.raw.socket.end();
    done();
  });
  app.useGlobalGuards(new AccessGuard(), new DatabaseGuard(app.get(Database)));
  app.useGlobalFilters(new HttpErrorsFilter());
  app.useGlobalPipes(validationPipe);
  if (environment.role !== 'worker') serveDocs(app);
  connectTimers(app);
  if (environment.metrics !== null) {
    // Loaded only where somebody asks for them.
    const { serveMetrics } = await import('./metrics/metrics.js');
    serveMetrics(fastify, environment, {
      boxOffice: app.get(BoxOffice),
      database: app.get(Database),
      publisher: app.get(TimerPublisher),
      timerServer: app.get<TimerServer | null>(TimerServer),
    });
  }
  return app;
}

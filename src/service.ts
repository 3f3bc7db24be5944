import { setTimeout as pause } from 'node:timers/promises';
import type { LoggerService } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApplication } from './application.js';
import { TRACER, type Tracer } from './common/spans.js';
import type { ServiceLog } from './common/logger.js';
import type { Environment } from './config/environment.js';
import { Database } from './database/database.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './database/embedded-postgres.js';
import { Drain } from './health/drain.js';
import { tameHeap } from './heap.js';
import { startTimers } from './messaging/messaging.module.js';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** A signal that comes again within this is the same one. */
const ECHO_MS = 1_000;
/** The port is opened after so long, even when it is not known yet whether the database is there. */
const LISTEN_WITHIN_MS = 10_000;
/** Requests in flight are answered within this; a connection that is still open then is cut. */
const ANSWER_WITHIN_MS = 6_000;
/** All of the stop, the delay before it not counted. */
const STOP_WITHIN_MS = 10_000;

/**
 * Runs one instance until it is told to stop by SIGTERM, SIGINT or SIGHUP. Another signal, later, ends it at once.
 * @param folder where the embedded PostgreSQL keeps its data, when no database is configured
 */
export async function runService(environment: Environment, logger: ServiceLog, folder: string): Promise<void> {
  let embedded: EmbeddedPostgres | null = null;
  // Also whoever insists gets the database stopped: it would go on by itself.
  const insist = (): void => void Promise.resolve(embedded?.stop()).finally(() => process.exit(1));
  const stopped = untilToldToStop(insist);
  try {
    if (environment.database.url === null) {
      embedded = await startEmbeddedPostgres({
        folder,
        log: (message) => void logger.log(message, 'EmbeddedPostgres'),
      });
      environment.database.url = embedded.url;
    }
    const app = await createApplication(environment, logger);
    const { host, port } = environment.http;
    await app.init();
    const database = app.get(Database);
    const connected = database.connect();
    // A balancer that only sees whether a port is open sends requests as soon as it is: so they can be served by then, unless
    // the database is away.
    await Promise.race([database.whenTried, stopped, pause(LISTEN_WITHIN_MS)]);
    tameHeap();
    await app.listen(port, host);
    void connected.then((isConnected) => {
      if (!isConnected) return;
      announce(environment, logger);
      startTimers(app);
    });

    await stopped;
    await stop(app, environment.shutdownDelayMs, logger, insist);
  } catch (error) {
    console.error(sentenceOf(error, environment));
    process.exitCode = 1;
  } finally {
    await embedded?.stop();
  }
  // Whatever a library still holds open has nothing left to do.
  process.exit();
}

/**
 * Resolves at the first signal, and calls `onInsisting` at a later one. The handlers stay: one Ctrl-C may come twice at
 * once, from the terminal and through npm, and would end a process that handles only the first.
 */
function untilToldToStop(onInsisting: () => void): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | null = null;
    const onSignal = (): void => {
      firstAt ??= performance.now();
      if (performance.now() - firstAt > ECHO_MS) onInsisting();
      else resolve();
    };
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  });
}

function announce({ http: { host, port }, role }: Environment, logger: LoggerService): void {
  const at = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  logger.log(
    role === 'worker' ? `worker ready; health at ${at}/health/ready` : `API at ${at}, Swagger UI at ${at}/docs`,
    'Service',
  );
}

async function stop(
  app: NestFastifyApplication,
  delayMs: number,
  logger: LoggerService,
  onTooLate: () => void,
): Promise<void> {
  const drain = app.get(Drain);
  drain.begin();
  logger.log('stopping', 'Service');
  await pause(delayMs);
  const giveUp = setTimeout(() => {
    logger.error('not everything was finished in time', undefined, 'Service');
    onTooLate();
  }, STOP_WITHIN_MS).unref();
  // Without a delay there is nobody who would send requests elsewhere.
  if (delayMs > 0) await drain.quieten();
  const server = app.getHttpServer();
  const answered = new Promise((done) => server.close(done));
  server.closeIdleConnections();
  drain.letGo();
  const cut = setTimeout(() => server.closeAllConnections(), ANSWER_WITHIN_MS);
  await answered;
  clearTimeout(cut);
  await app.close();
  // What the stop itself did is in them.
  await app.get<Tracer | null>(TRACER)?.close();
  clearTimeout(giveUp);
  logger.log('stopped', 'Service');
}

/** What went wrong at the start, for whoever started it. */
function sentenceOf(error: unknown, { http, metrics }: Environment): string {
  const { host } = http;
  const code = error instanceof Error && 'code' in error ? error.code : '';
  const isOfMetrics = error instanceof Error && 'port' in error && error.port === metrics?.port;
  const [name, port] = isOfMetrics ? ['METRICS_PORT', metrics?.port] : ['PORT', http.port];
  if (code === 'EADDRINUSE')
    return `Port ${port} on ${host} is in use: stop what uses it, or set ${name} to another one`;
  if (code === 'EACCES') return `Port ${port} on ${host} may not be used by this user: set ${name} to one above 1023`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `HOST ${host} is no address of this machine: set HOST to one`;
  return error instanceof Error ? error.message : String(error);
}

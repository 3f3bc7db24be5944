import type { LoggerService } from '@nestjs/common';
import { type Level, type Logger, pino, transport } from 'pino';
import { Cause } from './cause.js';
import { LogOutput } from './log-output.js';

/** What the framework says of itself while it starts is for whoever debugs it. */
const FRAMEWORK = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
  'NestMicroservice',
]);

/** What the log says of a request. Never what was in it: no header, no query, no body. */
export interface RequestLine {
  /** Null where what came is no HTTP. */
  readonly method: string | null;
  /** The pattern of the route; null where none is at this path. */
  readonly route: string | null;
  readonly path: string | null;
  /** Null where the client was gone before there was an answer. */
  readonly status: number | null;
  readonly ms: number | null;
  readonly address: string | null;
  readonly userId: string | null;
  /** The client was gone before it had all of the answer. */
  readonly isAborted: boolean;
}

/** The log as the service writes it: Nest's lines, and one for each request. */
export interface ServiceLog extends LoggerService {
  /** @param level `debug` for requests that nobody wants to see by default */
  request(level: 'info' | 'debug', line: RequestLine, cause: Cause): void;
}

/**
 * Nest's log lines and those of requests, written by pino from `level` up: JSON, or readable text where a person looks on.
 * A {@link Cause} among the arguments of Nest's logger gives its line the request's id.
 */
export function createLogger(level: string): ServiceLog {
  // A terminal that is closed, or a reader of a pipe that is gone, must not end the service in the middle of its work. To
  // touch a pipe here is also what makes node write to it without waiting.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined);
  const { logger, unhurried } = process.stdout.isTTY ? forTerminal(level) : forMachines(level);
  const requests = logger.child({ context: 'Http' });
  const write =
    (method: Level) =>
    (message: unknown, ...rest: unknown[]): void => {
      // Nest passes the context last, and for errors the stack before it.
      const context = rest.pop();
      // A port that cannot be listened on is thrown, too, and told in a sentence.
      const isTwice = method === 'error' && context === 'NestApplication';
      const isChatter = isTwice || (method === 'info' && FRAMEWORK.has(String(context)));
      const written = isChatter ? 'debug' : method;
      if (!logger.isLevelEnabled(written)) return;
      const cause = rest.find((part) => part instanceof Cause);
      const detail = rest.filter((part) => part !== undefined && part !== cause).map(String);
      const text = message instanceof Error ? (message.stack ?? message.message) : String(message);
      logger[written]({ context, ...(cause && fieldsOf(cause)), ...(detail.length > 0 ? { detail } : {}) }, text);
    };
  return {
    log: write('info'),
    error: write('error'),
    warn: write('warn'),
    debug: write('debug'),
    verbose: write('trace'),
    fatal: write('fatal'),
    request: (at, { method, route, path, status, ms, address, userId, isAborted }, cause) => {
      if (!requests.isLevelEnabled(at)) return;
      // One literal, and pino leaves out what is undefined: an object that is put together of others costs as much as the line.
      const fields = {
        requestId: cause.requestIds[0],
        trace_id: cause.span?.traceId,
        span_id: cause.span?.spanId,
        method,
        route,
        path,
        status,
        ms,
        address,
        userId: userId ?? undefined,
        aborted: isAborted || undefined,
      };
      unhurried(() => requests[at](fields, `${method ?? '?'} ${path ?? '?'} ${status ?? 'aborted'}`));
    },
  };
}

interface Output {
  logger: Logger;
  /** Calls its argument, whose lines may wait for others to be written with. */
  unhurried: (work: () => void) => void;
}

function forTerminal(level: string): Output {
  const stream = transport({
    target: 'pino-pretty',
    options: {
      ignore: 'pid,hostname,context,method,route,path,status,address,userId',
      messageFormat: '[{context}] {msg}',
    },
  });
  stream.on('error', () => undefined);
  return { logger: pino({ level }, stream), unhurried: (work) => work() };
}

function forMachines(level: string): Output {
  const output: LogOutput = new LogOutput(
    (dropped) =>
      logger.warn({ context: 'Log', dropped }, `${dropped} log lines were dropped: their reader was too slow`),
    () => (logger.level = 'silent'),
  );
  const logger: Logger = pino({ level }, output);
  return { logger, unhurried: (work) => output.unhurried(work) };
}

function fieldsOf({ requestIds, span }: Cause): Record<string, unknown> {
  return {
    requestId: requestIds[0],
    ...(requestIds.length > 1 ? { requestIds } : {}),
    ...(span && { trace_id: span.traceId, span_id: span.spanId }),
  };
}

import type { LoggerService } from '@nestjs/common';
import { destination, pino, transport } from 'pino';

/** What the framework says of itself while it starts is for whoever debugs it. */
const FRAMEWORK = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
  'NestMicroservice',
]);

/** Nest's log lines, written by pino from `level` up: JSON, or readable text where a person looks on. */
export function createLogger(level: string): LoggerService {
  const stream = process.stdout.isTTY
    ? transport({
        target: 'pino-pretty',
        options: { ignore: 'pid,hostname,context', messageFormat: '[{context}] {msg}' },
      })
    : destination(1);
  // A terminal that is closed, or a reader of a pipe that is gone, must not end the service in the middle of its work.
  for (const output of [stream as NodeJS.EventEmitter, process.stdout, process.stderr])
    output.on('error', () => undefined);
  const logger = pino({ level }, stream);
  const write =
    (method: 'info' | 'error' | 'warn' | 'debug' | 'trace' | 'fatal') =>
    (message: unknown, ...rest: unknown[]): void => {
      // Nest passes the context last, and for errors the stack before it.
      const context = rest.pop();
      const detail = rest.filter((part) => part !== undefined).map(String);
      const text = message instanceof Error ? (message.stack ?? message.message) : String(message);
      // A port that cannot be listened on is thrown, too, and told in a sentence.
      const isTwice = method === 'error' && context === 'NestApplication';
      const isChatter = isTwice || (method === 'info' && FRAMEWORK.has(String(context)));
      logger[isChatter ? 'debug' : method]({ context, ...(detail.length > 0 ? { detail } : {}) }, text);
    };
  return {
    log: write('info'),
    error: write('error'),
    warn: write('warn'),
    debug: write('debug'),
    verbose: write('trace'),
    fatal: write('fatal'),
  };
}

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { findFreePort } from '../../src/database/postgres-server.js';
import { startDaemon } from './daemon.js';
import { findOrInstall } from './debian.js';
import { eventually } from './eventually.js';

/** A line of nginx's log, as `deploy/nginx.conf` has it written; an instance is HOST:PORT, several separated by ", ". */
export interface LoggedRequest {
  client: string;
  request: string;
  status: number;
  instance: string;
  instance_status: string;
}

/** nginx with `deploy/nginx.conf`, in front of some instances. */
export interface Gateway {
  url: string;
  /** What it was asked so far. */
  requests(): LoggedRequest[];
  /** What it had to complain of. */
  complaints(): string;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  /** Whether it limits what one client may do; false unless told, as a test sends all that it sends from one address. */
  isLimiting?: boolean;
  /** Whether a client's address is the one that it says in X-Forwarded-For: a test has none of its own but on loopback. */
  believesClients?: boolean;
}

const BELIEVE_CLIENTS = 'server_tokens off; set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;';

function replaceOnce(text: string, part: string, replacement: string): string {
  const [before, after, ...more] = text.split(part);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`deploy/nginx.conf must have "${part}" just once`);
  }
  return before + replacement + after;
}

/**
 * Starts nginx, which is installed where it is missing, on a free port in front of these instances (their URLs).
 *
 * Three things differ from Docker Compose: the port on loopback; that every instance has a line of its own in
 * instances.conf, because the nginx of Debian 12 cannot look a name up again; and that nobody is limited, unless told.
 */
export async function startGateway(
  instances: readonly string[],
  { isLimiting = false, believesClients = false }: GatewayOptions = {},
): Promise<Gateway> {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const shipped = readFileSync(resolve('deploy/nginx.conf'), 'utf8');
  const limits = /^server app:8080 resolve (.*;)$/m.exec(readFileSync(resolve('deploy/instances.conf'), 'utf8'))?.[1];
  if (limits === undefined) throw new Error('deploy/instances.conf must have a line "server app:8080 resolve …;"');
  const listening = replaceOnce(shipped, 'listen 8080;', `listen 127.0.0.1:${port};`);
  const conf = believesClients ? replaceOnce(listening, 'server_tokens off;', BELIEVE_CLIENTS) : listening;
  const nginx = startDaemon(
    findOrInstall('nginx'),
    {
      'nginx.conf': isLimiting ? conf : replaceOnce(conf, 'default $network;', "default '';"),
      'instances.conf': instances.map((each) => `server ${new URL(each).host} ${limits}\n`).join(''),
    },
    (folder) => ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'],
  );
  const gateway: Gateway = {
    url,
    requests: () =>
      nginx
        .output()
        .split('\n')
        .flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as LoggedRequest] : [])),
    complaints: () =>
      nginx
        .output()
        .split('\n')
        .filter((line) => !line.startsWith('{'))
        .join('\n'),
    stop: () => nginx.stop(),
  };
  try {
    await eventually(async () => {
      if (nginx.hasEnded()) return;
      await (await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(2_000) })).arrayBuffer();
    });
    if (nginx.hasEnded()) throw new Error(`nginx ended instead of starting:\n${nginx.output()}`);
    return gateway;
  } catch (error) {
    await gateway.stop();
    throw error;
  }
}

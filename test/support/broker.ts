import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { findFreePort } from '../../src/database/postgres-server.js';
import { canInstall, canRun, findProgram, install, runOrThrow } from './debian.js';
import { eventually } from './eventually.js';

const IMAGE = 'rabbitmq:4-alpine';
/** It takes 10 s where the machine has nothing else to do. */
const START_TIMEOUT_MS = 120_000;

/** A RabbitMQ of the tests' own. */
export interface Broker {
  /** `amqp://guest:guest@127.0.0.1:PORT`, the same after a restart. */
  url: string;
  /** Ends the broker and all that came with it, and deletes its data. */
  stop(): Promise<void>;
  /** Ends it as `kill -9` does; its data stays. */
  kill(): Promise<void>;
  /** Shuts it down in good order; its data stays. */
  halt(): Promise<void>;
  /** Starts it on its data, after a shutdown in good order where it still runs, and waits until it answers. */
  restart(): Promise<void>;
}

/** `findEnd` tells what there is to say about a broker that is gone, and null as long as it lives. */
async function waitUntilUp(url: string, findEnd: () => string | null): Promise<void> {
  let ending: string | null = null;
  await eventually(
    async () => {
      ending = findEnd();
      if (ending !== null) return;
      const connection = await connect(url, { timeout: 2_000 });
      await connection.close();
    },
    { timeoutMs: START_TIMEOUT_MS, intervalMs: 100 },
  );
  // Assigned in a callback, which the type checker does not see.
  const said = ending as string | null;
  if (said !== null) throw new Error(`RabbitMQ ended instead of starting:\n${said}`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

/**
 * The installed server's script, or null. Debian puts a wrapper into the path which changes the user and the folders,
 * so the script behind it comes first.
 */
const findServerScript = (): string | null => findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin']);

async function startInstalled(script: string): Promise<Broker> {
  const home = mkdtempSync(join(tmpdir(), 'booking-broker-'));
  const [port, distributionPort, epmdPort] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  writeFileSync(join(home, 'rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\n`);
  writeFileSync(join(home, 'environment'), '');
  writeFileSync(join(home, 'advanced.config'), '[].\n');
  writeFileSync(join(home, 'plugins'), '[].\n');
  const env = {
    PATH: process.env.PATH,
    // The Erlang cookie lies in it.
    HOME: home,
    LC_ALL: 'C.UTF-8',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `booking${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_CONF_ENV_FILE: join(home, 'environment'),
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(home, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_PID_FILE: join(home, 'pid'),
    // The script then becomes the broker, instead of a shell that waits for it; no shell of Erlang's on its input.
    RABBITMQ_ALLOW_INPUT: 'true',
    RABBITMQ_SERVER_START_ARGS: '-noinput',
  };
  mkdirSync(env.RABBITMQ_LOG_BASE);
  let output = '';
  const launch = (program: string, args: string[]): ChildProcess => {
    const child = spawn(program, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-10_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => (output += error.message));
    return child;
  };
  // Erlang starts this one by itself if nobody else does, as a daemon that outlives everything.
  const epmd = launch('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1']);
  let server: ChildProcess | undefined;
  const killAll = (): void => {
    server?.kill('SIGKILL');
    epmd.kill('SIGKILL');
  };
  process.once('exit', killAll);
  const start = async (): Promise<void> => {
    const child = launch(script, []);
    server = child;
    await waitUntilUp(url, () => (hasEnded(child) ? output : null));
  };
  const broker: Broker = {
    url,
    stop: async () => {
      process.off('exit', killAll);
      await end(server, 'SIGKILL');
      await end(epmd, 'SIGKILL');
      rmSync(home, { recursive: true, force: true, maxRetries: 10 });
    },
    kill: () => end(server, 'SIGKILL'),
    halt: () => end(server, 'SIGTERM'),
    restart: async () => {
      await end(server, 'SIGTERM');
      await start();
    },
  };
  try {
    await start();
    return broker;
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

async function startInDocker(): Promise<Broker> {
  // A port that is chosen here stays the same over a restart of the container.
  const port = await findFreePort();
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const container = runOrThrow('docker', ['run', '--detach', '--publish', `127.0.0.1:${port}:5672`, IMAGE]);
  const remove = (): void => void runOrThrow('docker', ['rm', '--force', '--volumes', container]);
  process.once('exit', remove);
  const findEnd = (): string | null => {
    const isRunning = runOrThrow('docker', ['inspect', '--format', '{{.State.Running}}', container]) === 'true';
    return isRunning ? null : runOrThrow('docker', ['logs', '--tail', '50', container]);
  };
  const broker: Broker = {
    url,
    stop: () => {
      process.off('exit', remove);
      remove();
      return Promise.resolve();
    },
    kill: () => {
      runOrThrow('docker', ['kill', '--signal', 'KILL', container]);
      return Promise.resolve();
    },
    halt: () => {
      runOrThrow('docker', ['stop', '--time', '30', container]);
      return Promise.resolve();
    },
    restart: async () => {
      runOrThrow('docker', ['restart', '--time', '30', container]);
      await waitUntilUp(url, findEnd);
    },
  };
  try {
    await waitUntilUp(url, findEnd);
    return broker;
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

/**
 * Starts a RabbitMQ for the tests alone: the installed one, else one in Docker, else (as root on Debian or Ubuntu) one
 * that is installed now. It takes about 10 s.
 *
 * Errors: one sentence where none of these ways is open.
 */
export async function startBroker(): Promise<Broker> {
  if (findServerScript() === null) {
    if (canRun('docker', ['info'])) return startInDocker();
    if (canInstall()) install('rabbitmq-server');
  }
  const script = findServerScript();
  if (script === null)
    throw new Error('The tests need RabbitMQ: install rabbitmq-server, start Docker or set RABBITMQ_URL.');
  return startInstalled(script);
}

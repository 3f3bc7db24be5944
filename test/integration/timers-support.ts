import { randomBytes } from 'node:crypto';
import { createServer, connect as connectSocket, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { once } from 'node:events';
import type { INestApplication, LoggerService } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { connect, type Channel, type ChannelModel } from 'amqplib';
import { ConfigModule } from '../../src/config/config.module.js';
import { parseEnvironment, type Environment } from '../../src/config/environment.js';
import { connectTimers, MessagingModule, startTimers } from '../../src/messaging/messaging.module.js';
import { toTimerPayload, type Timer } from '../../src/messaging/timers.js';
import { TimerTopology } from '../../src/messaging/topology.js';
import { BoxOffice } from '../../src/seating/box-office.js';
import { TimersController } from '../../src/waitlist/timers.controller.js';

/** An environment with a broker and queues of its own. */
export function brokerEnvironment(url: string, variables: Record<string, string> = {}): Environment {
  return parseEnvironment({
    RABBITMQ_URL: url,
    RABBITMQ_QUEUE_PREFIX: `test-${randomBytes(6).toString('hex')}`,
    ...variables,
  });
}

export function topologyOf(environment: Environment): TimerTopology {
  if (environment.broker === null) throw new Error('This environment has no broker');
  return new TimerTopology(environment.broker, environment.offers.windowMs);
}

/** A connection past the service: to look at queues, to put anything on them, and to delete them. */
export class Backdoor {
  private constructor(
    private readonly connection: ChannelModel,
    readonly channel: Channel,
  ) {}

  static async open(url: string): Promise<Backdoor> {
    const connection = await connect(url);
    return new Backdoor(connection, await connection.createChannel());
  }

  /** How many messages of a queue are ready: neither delivered and unacked, nor gone. */
  async count(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  send(queue: string, body: string | Buffer): void {
    this.channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
  }

  sendTimer(queue: string, timer: Timer): void {
    this.send(queue, JSON.stringify({ pattern: timer.pattern, data: toTimerPayload(timer) }));
  }

  async deleteQueues(environment: Environment): Promise<void> {
    for (const { name } of topologyOf(environment).queues) await this.channel.deleteQueue(name);
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}

export interface Look {
  command: 'expire' | 'start';
  conferenceId: number;
  /** When it was submitted, by the clock that stands for the database's. */
  at: number;
}

/** Stands where the box office stands: it records the looks, and answers with the time. */
export class LookRecorder {
  readonly looks: Look[] = [];
  /** What happens to a look before it is answered. */
  meanwhile: (look: Look) => Promise<void> | void = () => undefined;

  expireOffers(conferenceId: number): Promise<{ now: number }> {
    return this.look('expire', conferenceId);
  }

  startConference(conferenceId: number): Promise<{ now: number }> {
    return this.look('start', conferenceId);
  }

  endLooks(): void {
    // Whatever is in hand is finished by `meanwhile`.
  }

  of(conferenceId: number): Look[] {
    return this.looks.filter((look) => look.conferenceId === conferenceId);
  }

  private async look(command: Look['command'], conferenceId: number): Promise<{ now: number }> {
    const look = { command, conferenceId, at: Date.now() };
    this.looks.push(look);
    await this.meanwhile(look);
    return { now: Date.now() };
  }
}

/** The timers' half of the application, without HTTP. */
export async function startMessaging(
  environment: Environment,
  boxOffice: LookRecorder,
  log: Log,
): Promise<INestApplication> {
  const module = await Test.createTestingModule({
    imports: [ConfigModule.with(environment), MessagingModule],
    controllers: [TimersController],
    providers: [{ provide: BoxOffice, useValue: boxOffice }],
  })
    .setLogger(log)
    .compile();
  const app = module.createNestApplication(new FastifyAdapter());
  connectTimers(app);
  await app.init();
  startTimers(app);
  return app;
}

/** Checks for `ms` on end that something does not happen. */
export async function throughout(ms: number, condition: () => void): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    condition();
    await delay(10);
  }
}

/** Collects what is logged, instead of printing it. */
export class Log implements LoggerService {
  readonly lines: string[] = [];
  readonly errors: string[] = [];

  log(message: unknown): void {
    this.lines.push(message instanceof Error ? message.message : String(message));
  }

  warn(message: unknown): void {
    this.log(message);
  }

  error(message: unknown): void {
    this.log(message);
    this.errors.push(String(message));
  }

  with(text: string): string[] {
    return this.lines.filter((line) => line.includes(text));
  }
}

/** A way to a broker that can be closed, cut, and frozen, without harm to the broker. */
export class Proxy {
  private readonly sockets = new Set<Socket>();
  private server: Server | null = null;
  private isFrozen = false;
  private port = 0;

  constructor(private readonly target: URL) {}

  /** Reserves a port; nobody listens there before `open`. */
  static async to(url: string): Promise<Proxy> {
    const proxy = new Proxy(new URL(url));
    await proxy.open();
    await proxy.close();
    return proxy;
  }

  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${this.port}`;
    return url.href;
  }

  async open(): Promise<void> {
    this.server = createServer((near) => {
      const far = connectSocket(Number(this.target.port), this.target.hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.sockets.add(from);
        from.on('data', (chunk) => to.write(chunk));
        from.on('error', () => undefined);
        from.on('close', () => {
          this.sockets.delete(from);
          to.destroy();
        });
        if (this.isFrozen) from.pause();
      }
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Cuts every connection, and takes no more. */
  async close(): Promise<void> {
    const { server } = this;
    if (server === null) return;
    this.server = null;
    server.close();
    this.cut();
    await once(server, 'close');
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Connections stay, and nothing comes through any more. */
  freeze(): void {
    this.isFrozen = true;
    for (const socket of this.sockets) socket.pause();
  }

  thaw(): void {
    this.isFrozen = false;
    for (const socket of this.sockets) socket.resume();
  }
}

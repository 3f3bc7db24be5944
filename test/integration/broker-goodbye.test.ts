import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { Logger } from '@nestjs/common';
import { BrokerChannel } from '../../src/messaging/broker-channel.js';
import { eventually } from '../support/eventually.js';

/** `connection.open-ok` as RabbitMQ sends it. */
const WELCOME = Buffer.from([1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 41, 0, 0xce]);
/** `connection.close` with 320, as a broker says when it is shut down. */
const GOODBYE = Buffer.from([1, 0, 0, 0, 0, 0, 11, 0, 10, 0, 50, 1, 64, 0, 0, 0, 0, 0, 0xce]);

describe('a broker that says goodbye together with its welcome', () => {
  let server: Server;
  let url: string;
  let goodbyes: number;

  beforeEach(async () => {
    goodbyes = 0;
    const target = new URL(process.env.TEST_RABBITMQ_URL ?? '');
    server = createServer((client) => {
      const upstream = connect(Number(target.port), target.hostname);
      for (const socket of [client, upstream]) {
        socket.on('error', () => undefined);
        socket.on('close', () => {
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream);
      upstream.on('data', (chunk) => {
        if (goodbyes > 0 || !chunk.includes(WELCOME)) client.write(chunk);
        else {
          goodbyes += 1;
          client.end(Buffer.concat([chunk, GOODBYE]));
        }
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const through = new URL(target);
    through.port = String((server.address() as AddressInfo).port);
    url = through.href;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it('is asked again until there is a channel', async () => {
    const said: string[] = [];
    const logger = { log: (text: string) => said.push(text), warn: (text: string) => said.push(text) };
    const broker = new BrokerChannel({
      url,
      name: 'goodbye',
      logger: logger as unknown as Logger,
      setUp: () => Promise.resolve(),
    });
    broker.open();
    await eventually(() => expect(broker.isUp).toBe(true));
    expect(goodbyes).toBe(1);
    expect(said).toEqual([
      expect.stringContaining('is away (Connection closed'),
      expect.stringContaining('connected to the broker at'),
    ]);
    await broker.close();
  });
});

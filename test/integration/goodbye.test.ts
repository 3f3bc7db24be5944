import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../src/database/data-source.js';
import { isDatabaseAway } from '../../src/database/failures.js';
import { runMigrations } from '../../src/database/migrate.js';

function message(type: string, ...fields: string[]): Buffer {
  const body = Buffer.from(fields.join(''), 'latin1');
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
}

/** AuthenticationOk, ReadyForQuery, and what a server that is shut down says, as one packet. */
const WELCOME_AND_GOODBYE = Buffer.concat([
  message('R', '\0\0\0\0'),
  message('Z', 'I'),
  message('E', 'SFATAL\0', 'C57P01\0', 'Mterminating connection due to administrator command\0', '\0'),
]);

describe('a server that says goodbye together with its welcome', () => {
  let server: Server;
  let url: string;
  let connections: number;

  beforeEach(async () => {
    connections = 0;
    server = createServer((socket: Socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(WELCOME_AND_GOODBYE));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `postgres://nobody@127.0.0.1:${(server.address() as AddressInfo).port}/booking`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  // Unheard, it would end this very process.
  it.each([
    [
      'the service',
      () => new DataSource(dataSourceOptions({ url, poolMax: 2, poolMinIdle: 0, pooler: 'none' })).initialize(),
    ],
    ['a migration', () => runMigrations(url)],
  ])('is a database that is away, for %s', async (_what, connect) => {
    const error: unknown = await connect().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(isDatabaseAway(error)).toBe(true);
    expect(connections).toBeGreaterThan(1);
  });
});

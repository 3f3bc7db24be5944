import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What is to happen to the next chunk that a client sends: go on, be lost without a word, or be cut, before or after the
 * server has done it.
 */
export type Verdict = 'pass' | 'swallow' | 'cut before' | 'cut after';

/** A TCP proxy on loopback that can cut a connection at a chosen moment. */
export interface Proxy {
  port: number;
  /** Asked for each chunk from a client; passes everything unless told. */
  judge: (chunk: Buffer) => Verdict;
  close(): Promise<void>;
}

/** Stands in front of the server that `target` names, host and port; on a free port unless told. */
export async function startProxy(target: URL, ownPort = 0): Promise<Proxy> {
  const [port, host] = [Number(target.port), target.hostname];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, host);
    let isCutAfter = false;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
      socket.on('error', end);
    }
    client.on('data', (chunk) => {
      const verdict = proxy.judge(chunk);
      if (verdict === 'cut before') end();
      else if (verdict !== 'swallow') {
        if (verdict === 'cut after') isCutAfter = true;
        upstream.write(chunk);
      }
    });
    upstream.on('data', (chunk) => {
      // The server has done it, and its answer gets lost.
      if (isCutAfter) end();
      else client.write(chunk);
    });
  });
  server.listen(ownPort, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    judge: () => 'pass',
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return proxy;
}

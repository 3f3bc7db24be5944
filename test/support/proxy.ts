import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What is to happen to the next chunk that a client sends: go on, be lost without a word, or be cut, before it arrives or
 * after the server has committed it. `hold` keeps it, and all that the client sends after it on this connection; `hold answers` lets it
 * go on, and keeps all that the server says after it. What is held is never delivered.
 */
export type Verdict = 'pass' | 'swallow' | 'cut before' | 'cut after' | 'hold' | 'hold answers';

/** How PostgreSQL says that it has committed. */
const COMMITTED = 'COMMIT\0';

/** A TCP proxy on loopback that can cut a connection at a chosen moment, and be a bad network. */
export interface Proxy {
  port: number;
  /** How many connections there are. */
  readonly connections: number;
  /** Asked for each chunk from a client; passes everything unless told. */
  judge: (chunk: Buffer) => Verdict;
  /** How much later every chunk arrives, either way, ms; 0 unless told. */
  delayMs: number;
  /** Delivers nothing, not even that somebody has hung up, until {@link heal}; new connections are taken and not answered. */
  blackHole(): void;
  /** Delivers what the black hole has kept, in order, as a network does that is whole again. */
  heal(): void;
  /** Ends all connections at once; new ones are taken. */
  cutAll(): void;
  close(): Promise<void>;
}

/** Stands in front of the server that `target` names, host and port; on a free port unless told. */
export async function startProxy(target: URL, ownPort = 0): Promise<Proxy> {
  const [port, host] = [Number(target.port), target.hostname];
  const links = new Set<Link>();
  const server = createServer((client) => {
    // What one side sends is written by the other before it has connected: sockets keep it until then.
    const link = new Link(client, connect(port, host), proxy, () => links.delete(link));
    links.add(link);
    if (isBlackHole) link.stop();
  });
  let isBlackHole = false;
  server.listen(ownPort, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return links.size;
    },
    judge: () => 'pass',
    delayMs: 0,
    blackHole: () => {
      isBlackHole = true;
      for (const link of links) link.stop();
    },
    heal: () => {
      isBlackHole = false;
      for (const link of links) link.go();
    },
    cutAll: () => {
      for (const link of links) link.end();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      proxy.cutAll();
      await closed;
    },
  };
  return proxy;
}

/** One client, and its connection to the server. */
class Link {
  private readonly toServer: Flow;
  private readonly toClient: Flow;
  private isCutAfter = false;

  constructor(
    private readonly client: Socket,
    private readonly upstream: Socket,
    private readonly proxy: Pick<Proxy, 'judge' | 'delayMs'>,
    private readonly onEnd: () => void,
  ) {
    this.toServer = new Flow(upstream, () => this.end());
    this.toClient = new Flow(client, () => this.end());
    client.on('data', (chunk) => this.receive(chunk));
    upstream.on('data', (chunk) => {
      // The server has done all of it, and says so last: its answer gets lost.
      if (this.isCutAfter && chunk.includes(COMMITTED)) this.end();
      else this.toClient.add(chunk, this.proxy.delayMs);
    });
    client.on('close', () => this.toServer.add(null, this.proxy.delayMs));
    upstream.on('close', () => this.toClient.add(null, this.proxy.delayMs));
    // Without a listener it would end the process; `close` follows.
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
  }

  stop(): void {
    this.toServer.stop();
    this.toClient.stop();
  }

  go(): void {
    this.toServer.go();
    this.toClient.go();
  }

  end(): void {
    this.client.destroy();
    this.upstream.destroy();
    this.onEnd();
  }

  private receive(chunk: Buffer): void {
    const verdict = this.proxy.judge(chunk);
    if (verdict === 'swallow') return;
    if (verdict === 'cut before') {
      this.end();
      return;
    }
    if (verdict === 'cut after') this.isCutAfter = true;
    if (verdict === 'hold') this.toServer.hold();
    if (verdict === 'hold answers') this.toClient.hold();
    this.toServer.add(chunk, this.proxy.delayMs);
  }
}

/** One direction of a connection: what is on its way, in order. `null` is the end of the connection. */
class Flow {
  private readonly underway: { chunk: Buffer | null; dueAt: number }[] = [];
  private timer: NodeJS.Timeout | null = null;
  private isStopped = false;
  private isHeld = false;

  constructor(
    private readonly to: Socket,
    private readonly onEnd: () => void,
  ) {}

  add(chunk: Buffer | null, delayMs: number): void {
    this.underway.push({ chunk, dueAt: performance.now() + delayMs });
    this.deliver();
  }

  hold(): void {
    this.isHeld = true;
  }

  stop(): void {
    this.isStopped = true;
  }

  go(): void {
    this.isStopped = false;
    this.deliver();
  }

  private deliver(): void {
    while (!this.isStopped && this.timer === null) {
      // Whoever hangs up is heard also where the rest is held: a process that was killed says nothing more.
      const next = this.isHeld ? this.underway.find(({ chunk }) => chunk === null) : this.underway[0];
      if (next === undefined) return;
      const remainingMs = next.dueAt - performance.now();
      if (remainingMs > 0) {
        this.timer = setTimeout(() => {
          this.timer = null;
          this.deliver();
        }, Math.ceil(remainingMs));
        return;
      }
      this.underway.shift();
      if (next.chunk !== null) this.to.write(next.chunk);
      else {
        this.onEnd();
        return;
      }
    }
  }
}

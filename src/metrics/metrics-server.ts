import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';

/** Whoever sends so slowly has nothing to send, ms. */
const REQUEST_WITHIN_MS = 5_000;
/** A scrape in flight is answered within this at the end, and what is still open then is cut. */
const ANSWER_WITHIN_MS = 1_000;

/** Serves `GET /metrics` and nothing else, to whoever reaches its port. */
export class MetricsServer {
  private readonly server: Server;

  constructor(private readonly registry: Registry) {
    this.server = createServer(
      { requestTimeout: REQUEST_WITHIN_MS, headersTimeout: REQUEST_WITHIN_MS, connectionsCheckingInterval: 1_000 },
      (request, response) => {
        // A scrape that fails is one that Prometheus misses, and nothing else.
        this.answer(request, response).catch(() => response.destroy());
      },
    );
  }

  /** @throws Error with a `code` and the `port`, where it cannot listen */
  async listen(port: number, host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, resolve);
    });
  }

  async close(): Promise<void> {
    const cut = setTimeout(() => this.server.closeAllConnections(), ANSWER_WITHIN_MS);
    await new Promise((resolve) => this.server.close(resolve));
    clearTimeout(cut);
  }

  private async answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (method === 'GET' && url?.split('?', 1)[0] === '/metrics') {
      response.setHeader('Content-Type', this.registry.contentType).end(await this.registry.metrics());
      return;
    }
    response
      .writeHead(404, { 'Content-Type': 'application/json' })
      .end(JSON.stringify({ message: 'Nothing is found here but GET /metrics', code: 'ROUTE_NOT_FOUND' }));
  }
}

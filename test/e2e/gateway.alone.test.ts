import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { ApiClient } from '../../src/cli/api-client.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { eventually } from '../support/eventually.js';
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.js';
import { runCommand, startService } from '../support/processes.js';
import { Cluster, CLUSTER_TIMEOUT_MS, Load } from './cluster.js';

const CLIENTS = 12;

describe('three API and two worker instances behind nginx', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ windowSeconds: 2 });
  }, CLUSTER_TIMEOUT_MS);
  afterAll(() => cluster.stop(), CLUSTER_TIMEOUT_MS);

  it(
    'pass the ten scenarios, and each API instance takes its part',
    async () => {
      const { code, output } = await runCommand('cli/scenarios/main', ['--url', cluster.gateway.url]);
      if (code !== 0) expect(output).toBe('');
      expect(output.trimEnd().split('\n').at(-1)).toBe('10 passed, 0 failed');
      for (const api of cluster.apis) expect(cluster.countAnsweredBy(api)).toBeGreaterThan(10);
    },
    CLUSTER_TIMEOUT_MS,
  );

  it(
    'fail no GET, and book nothing twice, when one is killed; and it is used again when it is back',
    async () => {
      const { apis, backstage, gateway } = cluster;
      await backstage.addConference('Busy', 1_000_000);
      const load = new Load(gateway.url, 'Busy', await backstage.addUsers('load', 60_000), CLIENTS);
      await load.progress(500);
      const [victim] = apis;
      if (victim === undefined) throw new Error('There is no instance');
      await victim.stop('SIGKILL');
      await load.progress(500);
      await cluster.whenUsed(await cluster.restart(victim));
      const { bookings, looks } = await load.stop();

      expect(looks.filter(({ status }) => status !== 200)).toEqual([]);
      const refused = [...bookings].filter(([, { status }]) => status !== 201);
      // Each client had one request on its way at most.
      expect(refused.length).toBeLessThanOrEqual(CLIENTS);
      for (const [, answer] of refused) {
        expect(answer).toMatchObject({
          status: 503,
          headers: { 'retry-after': '1' },
          body: { message: expect.stringMatching(/./) as string, code: 'GATEWAY_UNAVAILABLE' },
        });
      }
      const kept = await backstage.query<{ user_id: string; count: number }>(
        'SELECT user_id, count(*)::int AS count FROM bookings WHERE user_id = ANY ($1) GROUP BY user_id',
        [[...bookings.keys()]],
      );
      const counts = new Map(kept.map(({ user_id, count }) => [user_id, count]));
      for (const [user, { status }] of bookings) {
        if (status === 201) expect([user, counts.get(user)]).toEqual([user, 1]);
        else expect([0, 1]).toContain(counts.get(user) ?? 0);
      }
      expect(await backstage.brokenRules(2)).toEqual([]);
    },
    CLUSTER_TIMEOUT_MS,
  );
});

describe('the gateway', () => {
  let gateway: Gateway | undefined;
  const closings: (() => unknown)[] = [];

  afterEach(async () => {
    await gateway?.stop();
    gateway = undefined;
    for (const close of closings.splice(0)) await close();
  });

  it('passes on the real address of the client, the path as it came, and connections that stay open', async () => {
    const seen: { url: string; headers: IncomingHttpHeaders; port: number }[] = [];
    const backend = createServer(({ url = '', headers, socket }, response) => {
      seen.push({ url, headers, port: socket.remotePort ?? 0 });
      response.setHeader('Content-Type', 'application/json').end('{}');
    });
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    closings.push(() => backend.close());
    gateway = await startGateway([`http://127.0.0.1:${(backend.address() as AddressInfo).port}`]);
    seen.length = 0;
    const { host } = new URL(gateway.url);
    for (const path of ['/conference/Systems%20Day%2F1/bookings', '/conferences?topic=type%20systems&limit=10']) {
      const headers = { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'gopher' };
      await (await fetch(gateway.url + path, { headers })).arrayBuffer();
      expect(seen.at(-1)).toMatchObject({
        url: path,
        headers: { host, 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' },
      });
      expect(seen.at(-1)?.headers.connection).not.toBe('close');
    }
    expect(gateway.requests().at(-1)).toMatchObject({ client: '127.0.0.1', status: 200 });
  });

  /** Asks from an address of loopback, in the name of another one, and tells what came. */
  function askFrom(
    localAddress: string,
    url: string,
    forwardedFor = '203.0.113.9',
  ): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'X-Forwarded-For': forwardedFor };
      const asked = request(url, { localAddress, agent: false, headers }, (response) => {
        const status = response.statusCode ?? 0;
        text(response).then((body) => resolve({ status, headers: response.headers, body }), reject);
      });
      asked.on('error', reject).end();
    });
  }

  const TOO_MANY = {
    status: 429,
    headers: { 'retry-after': '1', 'content-type': 'application/json' },
    body: '{"message":"Too many requests: come again in 1 s","code":"RATE_LIMITED"}',
  };

  /** nginx with its limits, in front of a server of this test. */
  async function startLimited(
    answer: (response: ServerResponse) => void,
    options: GatewayOptions = {},
  ): Promise<Gateway> {
    const backend = createServer((_request, response) => answer(response));
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    closings.push(() => backend.close());
    return startGateway([`http://127.0.0.1:${(backend.address() as AddressInfo).port}`], {
      isLimiting: true,
      ...options,
    });
  }

  it('lets 300 requests at once from one address pass, and limits that one alone where it goes on', async () => {
    gateway = await startLimited((response) => response.end('{}'));
    const url = `${gateway.url}/conferences`;
    const rush = async (): Promise<{ status: number }[]> => {
      const answers = await Promise.all(Array.from({ length: 300 }, () => askFrom('127.0.0.2', url)));
      return answers.filter(({ status }) => status !== 200);
    };
    expect(await rush()).toEqual([]);
    await rush();
    const refused = await rush();
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expect(answer).toMatchObject(TOO_MANY);
    expect(await askFrom('127.0.0.3', url)).toMatchObject({ status: 200 });
    for (let count = 0; count < 100; count++) {
      expect(await askFrom('127.0.0.2', `${gateway.url}/health/live`)).toMatchObject({ status: 200 });
    }
    await eventually(async () => expect(await askFrom('127.0.0.2', url)).toMatchObject({ status: 200 }));
    expect(gateway.complaints()).toBe('');
  });

  it('takes a network of IPv6 for one client, and not more than that', async () => {
    gateway = await startLimited((response) => response.end('{}'), { believesClients: true });
    const url = `${gateway.url}/conferences`;
    const statusFor = async (address: string): Promise<number> => (await askFrom('127.0.0.2', url, address)).status;
    const statuses: number[] = [];
    // The last byte of this network is the end of a line, to which patterns often come.
    for (let rush = 0; rush < 3; rush++) {
      const addresses = Array.from({ length: 300 }, (_, index) => `2001:db8:0:a:${rush}::${index.toString(16)}`);
      statuses.push(...(await Promise.all(addresses.map(statusFor))));
    }
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    for (const address of ['2001:db8:0:b::1', '203.0.113.1']) {
      expect([address, await statusFor(address)]).toEqual([address, 200]);
    }
    expect(gateway.complaints()).toBe('');
  });

  it('lets one address have 400 requests under way, and no more', async () => {
    const held: ServerResponse[] = [];
    let isHolding = false;
    gateway = await startLimited((response) => (isHolding ? void held.push(response) : response.end('{}')));
    const url = `${gateway.url}/conferences`;
    isHolding = true;
    const asked = Array.from({ length: 410 }, () => askFrom('127.0.0.2', url));
    const other = askFrom('127.0.0.3', url);
    await eventually(() => expect(held).toHaveLength(401));
    isHolding = false;
    for (const response of held) response.end('{}');
    const refused = (await Promise.all(asked)).filter(({ status }) => status !== 200);
    expect(refused).toHaveLength(10);
    for (const answer of refused) expect(answer).toMatchObject(TOO_MANY);
    expect(await other).toMatchObject({ status: 200 });
  });

  it('tells an instance behind it whose address it is, whatever the client says', async () => {
    // Who is limited is known before the database is asked.
    const service = await startService({
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      ENABLE_QUEUE_CONSUMERS: 'false',
      RATE_LIMIT_PER_MINUTE: '2',
      TRUST_PROXY: '1',
      LOG_LEVEL: 'fatal',
    });
    closings.push(() => service.stop());
    gateway = await startGateway([service.url]);
    const statuses: number[] = [];
    for (const address of ['127.0.0.2', '127.0.0.2', '127.0.0.2', '127.0.0.3']) {
      statuses.push((await askFrom(address, `${gateway.url}/conferences`)).status);
    }
    expect(statuses).toEqual([503, 503, 429, 503]);
  });

  it('answers in the form of the service where it answers itself', async () => {
    const nobody = await findFreePort();
    gateway = await startGateway([`http://127.0.0.1:${nobody}`]);
    const api = new ApiClient(new URL(gateway.url));
    closings.push(() => api.close());
    for (const request of [
      () => api.send('GET', '/conferences'),
      () => api.send('POST', '/cancel', { booking_id: 1 }),
      () => api.send('GET', '/health/ready'),
    ]) {
      expect(await request()).toMatchObject({
        status: 503,
        headers: { 'retry-after': '1', 'content-type': 'application/json' },
        body: { code: 'GATEWAY_UNAVAILABLE' },
      });
    }
    expect(await api.send('POST', '/user', { user_id: 'a'.repeat(70_000), topics: [] })).toMatchObject({
      status: 413,
      headers: { 'content-type': 'application/json' },
      body: { message: 'The body is too large: send at most 64 KiB', code: 'BODY_TOO_LARGE' },
    });
    expect(await sendRaw(gateway.url, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 [^]*"code":"MALFORMED_REQUEST"}$/,
    );
    expect(await sendRaw(gateway.url, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 404 [^]*"code":"ROUTE_NOT_FOUND"}$/,
    );
  });
});

async function sendRaw(url: string, request: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.end(request);
  return text(socket);
}

import { Gauge, Registry } from 'prom-client';
import { createApplication } from '../../src/application.js';
import { commandAnswered } from '../../src/common/facts.js';
import { parseEnvironment } from '../../src/config/environment.js';
import { findFreePort } from '../../src/database/postgres-server.js';
import { MetricsServer } from '../../src/metrics/metrics-server.js';
import { eventually } from '../support/eventually.js';
import { Scrape } from '../support/exposition.js';

const REFUSED = { cause: { code: 'ECONNREFUSED' } };

describe('the server of the metrics', () => {
  it('that is closed answers whoever has asked, and nobody else', async () => {
    const registry = new Registry();
    let tell: (value: number) => void = () => undefined;
    let isAsked = false;
    const value = new Promise<number>((resolve) => (tell = resolve));
    new Gauge({
      name: 'slow',
      help: 'Comes when it is told.',
      registers: [registry],
      async collect() {
        isAsked = true;
        this.set(await value);
      },
    });
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}/metrics`;
    const server = new MetricsServer(registry);
    await server.listen(port, '127.0.0.1');
    const scrape = Scrape.from(url);
    await eventually(() => expect(isAsked).toBe(true));
    let isClosed = false;
    const closed = server.close().then(() => (isClosed = true));
    await expect(fetch(url)).rejects.toMatchObject(REFUSED);
    expect(isClosed).toBe(false);
    tell(7);
    expect((await scrape).value('slow')).toBe(7);
    await closed;
  });

  it('ends with the application, and with it all counting', async () => {
    const [port, metricsPort] = [await findFreePort(), await findFreePort()];
    const url = `http://127.0.0.1:${metricsPort}/metrics`;
    const app = await createApplication(
      parseEnvironment({ DATABASE_URL: process.env.TEST_DATABASE_URL, METRICS_PORT: String(metricsPort) }),
      false,
    );
    await app.listen(port, '127.0.0.1');
    expect((await Scrape.from(url)).value('booking_instance_info')).toBe(1);
    expect(commandAnswered.isHeard).toBe(true);
    await app.close();
    await expect(fetch(url)).rejects.toMatchObject(REFUSED);
    expect(commandAnswered.isHeard).toBe(false);
  });
});

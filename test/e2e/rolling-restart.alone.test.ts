import { eventually } from '../support/eventually.js';
import { type DeliveryTap, startDeliveryTap } from '../support/delivery-tap.js';
import type { Service } from '../support/processes.js';
import { Cluster, CLUSTER_TIMEOUT_MS, Load } from './cluster.js';
import { openOffers, visit } from './support.js';

const WINDOW_SECONDS = 0.5;
const DELAY_MS = 1_000;
const READY_GONE_MS = 100;
const STOP_MS = 10_000;
const CLIENTS = 12;
const OFFERS = 20;

describe('a rolling restart of three API and two worker instances behind nginx, under load', () => {
  let tap: DeliveryTap;
  let cluster: Cluster;

  beforeAll(async () => {
    tap = await startDeliveryTap(process.env.TEST_RABBITMQ_URL ?? '');
    cluster = await Cluster.start({
      windowSeconds: WINDOW_SECONDS,
      brokerUrl: tap.url,
      // A sweep that never comes: every offer that ends was ended by a message.
      env: { SHUTDOWN_DELAY_SECONDS: String(DELAY_MS / 1_000), SWEEP_INTERVAL_SECONDS: '3600' },
    });
  }, CLUSTER_TIMEOUT_MS);
  afterAll(async () => {
    await cluster.stop();
    await tap.close();
  }, CLUSTER_TIMEOUT_MS);

  const readyGoneMs: number[] = [];

  async function countMissed(): Promise<number> {
    return (await cluster.backstage.query(`SELECT FROM booking_transitions WHERE reason = 'missed'`)).length;
  }

  /** Stops an instance, sees that it tells so and ends in time, and starts it again. */
  async function restart(instance: Service): Promise<Service> {
    // Connected before, so that what is measured is the answer.
    const { api } = visit(instance);
    expect(await api.send('GET', '/health/ready')).toMatchObject({ status: 200 });
    const toldAt = performance.now();
    const stopping = instance.stop();
    const unready = await eventually(
      async () => {
        const answer = await api.send('GET', '/health/ready');
        expect(answer.status).toBe(503);
        return answer;
      },
      { intervalMs: 5 },
    );
    readyGoneMs.push(performance.now() - toldAt);
    expect(unready.body).toMatchObject({ code: 'STOPPING' });
    api.close();
    expect(await stopping).toEqual({ code: 0, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(DELAY_MS + STOP_MS);
    return cluster.restart(instance);
  }

  it(
    'fails no request, and has no message delivered twice',
    async () => {
      const { apis, workers, backstage, gateway, queues } = cluster;
      const world = visit(gateway);
      // They go round among the same people until the end.
      await openOffers(world, OFFERS);
      world.api.close();
      await backstage.addConference('Busy', 1_000_000);
      const load = new Load(gateway.url, 'Busy', await backstage.addUsers('load', 100_000), CLIENTS);
      await load.progress(500);

      for (const worker of [...workers]) {
        await restart(worker);
        await queues.whenConsumed(2);
        const missed = await countMissed();
        await eventually(async () => expect(await countMissed()).toBeGreaterThan(missed + OFFERS));
      }
      // The next one goes only when the gateway uses the last one again.
      for (const api of [...apis]) await cluster.whenUsed(await restart(api));
      const { bookings, looks } = await load.stop();

      process.stdout.write(`  ready gone after ${readyGoneMs.map((ms) => ms.toFixed(0)).join(', ')} ms\n`);
      expect(Math.max(...readyGoneMs)).toBeLessThan(READY_GONE_MS);
      expect([...bookings.values()].filter(({ status }) => status !== 201)).toEqual([]);
      expect(looks.filter(({ status }) => status !== 200)).toEqual([]);
      const kept = await backstage.query(
        `SELECT FROM bookings WHERE user_id = ANY ($1) GROUP BY user_id HAVING count(*) = 1`,
        [[...bookings.keys()]],
      );
      expect(kept).toHaveLength(bookings.size);
      expect(tap.deliveries.total).toBeGreaterThan(OFFERS);
      expect(tap.deliveries.redelivered).toBe(0);
      expect(await backstage.brokenRules(2)).toEqual([]);
    },
    CLUSTER_TIMEOUT_MS,
  );
});

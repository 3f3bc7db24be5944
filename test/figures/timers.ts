import { connect } from 'amqplib';
import { CONFIRMATION_EXPIRED, toTimerPayload } from '../../src/messaging/timers.js';
import { TimerTopology } from '../../src/messaging/topology.js';
import type { House } from './house.js';

/**
 * Sets a timer for the offers of conferences 1 to `conferences`, as a house that has just made them would.
 * @param dueAt ms since 1970 by the database's clock
 */
export async function setTimers(house: House, conferences: number, dueAt: number): Promise<void> {
  const { broker, offers } = house.environment;
  if (broker === null) return;
  const queue = new TimerTopology(broker, offers.windowMs).queueFor(offers.windowMs);
  const connection = await connect(broker.url);
  try {
    const channel = await connection.createConfirmChannel();
    for (let conferenceId = 1; conferenceId <= conferences; conferenceId++) {
      const timer = { pattern: CONFIRMATION_EXPIRED, conferenceId, dueAt } as const;
      const message = { pattern: timer.pattern, data: toTimerPayload(timer) };
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(message)), { persistent: true });
    }
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
}

import { Gauge, type Registry } from 'prom-client';
import type { Environment } from '../config/environment.js';
import type { Database } from '../database/database.js';
import type { TimerPublisher } from '../messaging/timer-publisher.js';
import type { TimerServer } from '../messaging/timer-server.js';
import type { BoxOffice } from '../seating/box-office.js';

/** The parked queue is asked for its length at most so often. */
const PARKED_EVERY_MS = 15_000;

/** The parts of an instance that know its state. Only their types: whoever loads this has them already. */
export interface Parts {
  boxOffice: Pick<BoxOffice, 'waiting' | 'waitingMost'>;
  database: Pick<Database, 'connections'>;
  publisher: Pick<TimerPublisher, 'state' | 'counts' | 'countParked'>;
  /** `null`: this instance takes no timers from a broker. */
  timerServer: Pick<TimerServer, 'isConsuming'> | null;
}

/** Tells the state that an instance is in at the moment of a scrape. */
export function tellState(
  registry: Registry,
  { boxOffice, database, publisher, timerServer }: Parts,
  { role, broker, database: { poolMax } }: Environment,
): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  new Gauge({
    name: 'booking_instance_info',
    help: 'Always 1: the role of the instance.',
    labelNames: ['role'] as const,
    registers,
  }).set({ role }, 1);

  gauge('booking_commands_waiting', 'Requests that wait to be taken into a transaction.', () => boxOffice.waiting);
  gauge('booking_commands_waiting_max', 'So many may wait; one more is refused.', () => boxOffice.waitingMost);

  new Gauge({
    name: 'booking_database_connections',
    help: 'Connections of the pool.',
    labelNames: ['state'] as const,
    registers,
    collect() {
      const { inUse, idle } = database.connections;
      this.set({ state: 'in_use' }, inUse);
      this.set({ state: 'idle' }, idle);
    },
  });
  gauge('booking_database_connections_max', 'So many connections may the pool have.', () => poolMax);
  gauge('booking_database_waiting', 'Who waits for a connection of the pool.', () => database.connections.waiting);

  if (broker === null) return;
  gauge('booking_broker_up', '1 while timers can be published.', () => Number(publisher.state === 'up'));
  gauge('booking_timer_consumers', '1 while this instance takes timers from the broker.', () =>
    Number(timerServer?.isConsuming ?? false),
  );
  gauge('booking_timers_owed', 'Timers that wait for the broker to take them.', () => publisher.counts.owed);
  gauge('booking_timers_in_flight', 'Timers that the broker has not confirmed yet.', () => publisher.counts.inFlight);
  let askedAt = -Infinity;
  new Gauge({
    name: 'booking_parked_messages',
    help: 'Messages in the parked queue, whoever put them there. Absent while the broker cannot be asked.',
    registers,
    async collect() {
      if (performance.now() - askedAt < PARKED_EVERY_MS) return;
      askedAt = performance.now();
      const count = await publisher.countParked();
      if (count === null) this.remove();
      else this.set(count);
    },
  });
}

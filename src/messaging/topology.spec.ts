import { TimerTopology } from './topology.js';

describe('TimerTopology', () => {
  const topology = new TimerTopology({ queuePrefix: 'booking', queueType: 'quorum' }, 10_000);

  it('declares durable queues of the type asked for, each delay in a queue of its own', () => {
    const names = topology.queues.map(({ name }) => name);
    expect(names).toEqual([
      'booking.timers.parked',
      'booking.timers',
      ...[1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000].map((rung) => `booking.delay.${rung}`),
    ]);
    for (const { options } of topology.queues) {
      expect(options).toMatchObject({ durable: true, arguments: { 'x-queue-type': 'quorum' } });
    }
  });

  it('has every delay end in the work queue, and what is refused in the parked queue', () => {
    const deadLetters = new Map(
      topology.queues.map(({ name, options }) => [
        name,
        (options.arguments as Record<string, unknown>)['x-dead-letter-routing-key'],
      ]),
    );
    expect(deadLetters.get('booking.delay.10000')).toBe('booking.timers');
    expect(deadLetters.get('booking.timers')).toBe('booking.timers.parked');
    expect(deadLetters.get('booking.timers.parked')).toBeUndefined();
  });

  it('sends a timer to the longest delay that fits, and to work at once where none does', () => {
    expect(topology.queueFor(400 * 86_400_000)).toBe('booking.delay.86400000');
    expect(topology.queueFor(9_995)).toBe('booking.delay.10000');
    expect(topology.queueFor(500)).toBe('booking.timers');
    expect(topology.queueFor(-1)).toBe('booking.timers');
  });
});

import { Counter, Histogram, type Registry } from 'prom-client';
import {
  batchCommitted,
  commandAnswered,
  messageParked,
  TIMER_EVENTS,
  timerMoved,
  timersMadeUpFor,
} from '../common/facts.js';
import { TRANSITION_REASONS } from '../seating/model.js';
import { keep } from './keep.js';

const BATCH_COMMANDS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const BATCH_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const LATENESS_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Counts what the parts of the service tell. Returns the function that ends it. */
export function countFacts(registry: Registry): () => void {
  const endings = [...countCommands([registry]), ...countBatches([registry]), ...countTimers([registry])];
  return () => {
    for (const end of endings) end();
  };
}

function countCommands(registers: Registry[]): (() => void)[] {
  const commands = new Counter({
    name: 'booking_commands_total',
    help: 'Commands by their answer: the status that the booking has by it, REPLAYED, or the code of the error.',
    labelNames: ['command', 'outcome'] as const,
    registers,
  });
  const countOf = keep((command: string) => keep((outcome: string) => commands.labels(command, outcome)));
  return [commandAnswered.listen(({ command, outcome }) => countOf(command)(outcome).inc())];
}

function countBatches(registers: Registry[]): (() => void)[] {
  const transitions = new Counter({
    name: 'booking_transitions_total',
    help: 'Steps of bookings by their reason: offered, confirmed, declined, missed and so on.',
    labelNames: ['reason'] as const,
    registers,
  });
  const size = new Histogram({
    name: 'booking_batch_commands',
    help: 'Commands that one transaction carried out.',
    buckets: BATCH_COMMANDS,
    registers,
  });
  const duration = new Histogram({
    name: 'booking_batch_duration_seconds',
    help: 'How long a transaction took, from when its commands were taken to the end of its commit.',
    buckets: BATCH_SECONDS,
    registers,
  });
  const lateness = new Histogram({
    name: 'booking_expiry_lateness_seconds',
    help: 'How long after its deadline a missed offer, and after its start a conference, was dealt with.',
    labelNames: ['what'] as const,
    buckets: LATENESS_SECONDS,
    registers,
  });
  // All that is known beforehand begins at 0: the first one is an increase then.
  for (const reason of TRANSITION_REASONS) transitions.inc({ reason }, 0);
  for (const what of ['offer', 'start'] as const) lateness.zero({ what });
  const [offer, start] = [lateness.labels('offer'), lateness.labels('start')];
  return [
    batchCommitted.listen((batch) => {
      size.observe(batch.commands);
      duration.observe(batch.durationMs / 1_000);
      const steps = new Map<string, number>();
      for (const { reason } of batch.transitions) steps.set(reason, (steps.get(reason) ?? 0) + 1);
      for (const [reason, count] of steps) transitions.inc({ reason }, count);
      for (const ms of batch.lateness.offers) offer.observe(ms / 1_000);
      for (const ms of batch.lateness.starts) start.observe(ms / 1_000);
    }),
  ];
}

function countTimers(registers: Registry[]): (() => void)[] {
  const timers = new Counter({
    name: 'booking_timers_total',
    help: `What happened to timers: ${TIMER_EVENTS.join(', ')}.`,
    labelNames: ['event'] as const,
    registers,
  });
  const madeUpFor = new Counter({
    name: 'booking_timers_made_up_for_total',
    help: 'Offers and starts that were overdue by more than 1 s, with the broker up, when the sweep dealt with them.',
    labelNames: ['what'] as const,
    registers,
  });
  const parked = new Counter({
    name: 'booking_messages_parked_total',
    help: 'Messages that this instance has put into the parked queue.',
    registers,
  });
  for (const event of TIMER_EVENTS) timers.inc({ event }, 0);
  for (const what of ['offer', 'start'] as const) madeUpFor.inc({ what }, 0);
  return [
    timerMoved.listen((event) => timers.inc({ event })),
    timersMadeUpFor.listen(({ what, count }) => madeUpFor.inc({ what }, count)),
    messageParked.listen(() => parked.inc()),
  ];
}

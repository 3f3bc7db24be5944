import { Random } from '../../src/cli/demo/random.js';
import type { ChaosOptions } from './arguments.js';

export const API_INSTANCES = ['api1', 'api2', 'api3'] as const;
export const WORKER_INSTANCES = ['worker1', 'worker2'] as const;
export const INSTANCES = [...API_INSTANCES, ...WORKER_INSTANCES];
export type InstanceName = (typeof INSTANCES)[number];

/** Faults of one lane come one after the other, those of different lanes side by side. */
export const LANES = ['instances', 'broker', 'database'] as const;
export type Lane = (typeof LANES)[number];

interface FaultTraits {
  lane: Lane;
  /** Which instances it may befall; none: it befalls what all of them share. */
  befalls: readonly InstanceName[];
  /** From when on it is mended, ms; what mending takes comes on top. */
  lastsMs: readonly [number, number];
  /** Whose answers may be a 503 because of it. A broker that is away is no reason for any. */
  excuses: 'everybody' | 'its instance' | 'nobody';
  /** Whether requests to its instance may go unanswered. */
  cutsRequests?: true;
}

const AT_ONCE = [0, 0] as const;

export const FAULTS = {
  'API instance killed': {
    lane: 'instances',
    befalls: API_INSTANCES,
    lastsMs: [0, 1_000],
    excuses: 'its instance',
    cutsRequests: true,
  },
  'API instance stopped (SIGTERM)': {
    lane: 'instances',
    befalls: API_INSTANCES,
    lastsMs: [0, 500],
    excuses: 'its instance',
    cutsRequests: true,
  },
  // It may hold locks, until the database ends its idle transaction.
  'API instance frozen': {
    lane: 'instances',
    befalls: API_INSTANCES,
    lastsMs: [500, 5_000],
    excuses: 'everybody',
  },
  'worker killed': {
    lane: 'instances',
    befalls: WORKER_INSTANCES,
    lastsMs: [0, 2_000],
    excuses: 'nobody',
  },
  'worker stopped (SIGTERM)': {
    lane: 'instances',
    befalls: WORKER_INSTANCES,
    lastsMs: [0, 1_000],
    excuses: 'nobody',
  },
  'worker frozen': {
    lane: 'instances',
    befalls: WORKER_INSTANCES,
    lastsMs: [500, 5_000],
    excuses: 'everybody',
  },
  'broker stopped': { lane: 'broker', befalls: [], lastsMs: [0, 2_000], excuses: 'nobody' },
  'broker killed': { lane: 'broker', befalls: [], lastsMs: [0, 2_000], excuses: 'nobody' },
  'every timer lost': { lane: 'broker', befalls: [], lastsMs: AT_ONCE, excuses: 'nobody' },
  'every timer delivered three times': { lane: 'broker', befalls: [], lastsMs: AT_ONCE, excuses: 'nobody' },
  'connections to the broker cut': { lane: 'broker', befalls: INSTANCES, lastsMs: AT_ONCE, excuses: 'nobody' },
  'connections to the broker delayed': {
    lane: 'broker',
    befalls: INSTANCES,
    lastsMs: [1_000, 3_000],
    excuses: 'nobody',
  },
  'connections to the broker black-holed': {
    lane: 'broker',
    befalls: INSTANCES,
    lastsMs: [1_000, 4_000],
    excuses: 'nobody',
  },
  'connections to the database cut': {
    lane: 'database',
    befalls: INSTANCES,
    lastsMs: AT_ONCE,
    excuses: 'its instance',
  },
  'connections to the database delayed': {
    lane: 'database',
    befalls: INSTANCES,
    lastsMs: [1_000, 3_000],
    excuses: 'everybody',
  },
  'connections to the database black-holed': {
    lane: 'database',
    befalls: INSTANCES,
    lastsMs: [1_000, 4_000],
    excuses: 'everybody',
  },
  'sessions ended by pg_terminate_backend': {
    lane: 'database',
    befalls: [],
    lastsMs: AT_ONCE,
    excuses: 'everybody',
  },
  'database restarted': { lane: 'database', befalls: [], lastsMs: AT_ONCE, excuses: 'everybody' },
  'database killed': { lane: 'database', befalls: [], lastsMs: AT_ONCE, excuses: 'everybody' },
} as const satisfies Record<string, FaultTraits>;

export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

export function traitsOf(kind: FaultKind): FaultTraits {
  return FAULTS[kind];
}

export interface Fault {
  kind: FaultKind;
  /** From the beginning of the load, ms; later where the one before it in its lane is not over. */
  atMs: number;
  lastsMs: number;
  instance: InstanceName | null;
  /** Of delayed connections: each chunk by so much, ms; else 0. */
  delayMs: number;
}

/** The part of the load in which the faults of a lane begin: the broker takes long to start, and everything else heals. */
const SPAN: Record<Lane, readonly [number, number]> = {
  instances: [0.03, 0.95],
  broker: [0.03, 0.7],
  database: [0.03, 0.95],
};

/** Every kind once before one comes twice. The same seed makes the same plan. Sorted by time. */
export function planFaults({ seed, seconds, faults }: ChaosOptions): Fault[] {
  const random = new Random(seed);
  const kinds: FaultKind[] = [];
  while (kinds.length < faults) kinds.push(...random.shuffled(FAULT_KINDS));
  kinds.length = faults;
  const plan = LANES.flatMap((lane) => {
    const own = kinds.filter((kind) => traitsOf(kind).lane === lane);
    const [from, to] = SPAN[lane].map((part) => part * seconds * 1_000) as [number, number];
    const share = (to - from) / own.length;
    return own.map((kind, index): Fault => {
      const { befalls, lastsMs } = traitsOf(kind);
      return {
        kind,
        atMs: Math.round(from + (index + random.next()) * share),
        lastsMs: random.integer(...lastsMs),
        instance: random.pick(befalls) ?? null,
        delayMs: kind.endsWith('delayed') ? random.integer(20, 300) : 0,
      };
    });
  });
  return plan.sort((a, b) => a.atMs - b.atMs);
}

export interface PlannedConference {
  name: string;
  slots: number;
  /** From the beginning of the load, ms. */
  startsInMs: number;
  lengthMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FAR_OFF = 10;
/** When conferences start in the midst of it all, as parts of the load. */
const STARTING = [0.25, 0.5, 0.75];

/** Few slots, so that there are lines; every second one overlaps the one before it; some start while the load runs. */
export function planConferences({ seed, seconds }: Pick<ChaosOptions, 'seed' | 'seconds'>): PlannedConference[] {
  const random = new Random(seed + 1);
  const farOff = Array.from({ length: FAR_OFF }, (_, index) => ({
    name: `Conference ${index + 1}`,
    slots: random.integer(1, 5),
    startsInMs: Math.floor(index / 2) * DAY_MS + 30 * DAY_MS + (index % 2) * HOUR_MS,
    lengthMs: 2 * HOUR_MS,
  }));
  const starting = STARTING.map((part, index) => ({
    name: `Starting ${index + 1}`,
    slots: random.integer(1, 5),
    startsInMs: Math.round(part * seconds * 1_000),
    lengthMs: 1_000,
  }));
  return [...farOff, ...starting];
}

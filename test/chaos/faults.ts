import { setTimeout as pause } from 'node:timers/promises';
import type { Ground } from './ground.js';
import type { Instance } from './instance.js';
import { type Fault, LANES, traitsOf } from './plan.js';

/** A fault that has been. Times are ms since 1970. */
export interface Injected extends Fault {
  from: number;
  /** When everything that it broke was there again. */
  to: number;
  /** What it did, as a count of something. */
  seen: { count: number; what: string };
}

/** Injects a plan, lane by lane, each fault at its time or when the one before it is over. */
export async function injectAll(
  ground: Ground,
  plan: readonly Fault[],
  tell: (injected: Injected) => void,
): Promise<Injected[]> {
  const injected: Injected[] = [];
  const beginning = performance.now();
  const runLane = async (faults: Fault[]): Promise<void> => {
    for (const fault of faults) {
      await pause(Math.max(0, beginning + fault.atMs - performance.now()));
      const from = Date.now();
      const seen = await inject(ground, fault);
      const done = { ...fault, from, to: Date.now(), seen };
      injected.push(done);
      tell(done);
    }
  };
  await Promise.all(LANES.map((lane) => runLane(plan.filter(({ kind }) => traitsOf(kind).lane === lane))));
  return injected.sort((a, b) => a.from - b.from);
}

/** Injects one fault, and resolves when it is over: what was ended runs again, and is ready. */
async function inject(ground: Ground, { kind, instance: name, lastsMs, delayMs }: Fault): Promise<Injected['seen']> {
  const startedAt = performance.now();
  const msAway = (): Injected['seen'] => ({ count: Math.round(performance.now() - startedAt), what: 'ms away' });
  const { database, broker, timers } = ground;
  const instance = (): Instance => {
    if (name === null) throw new Error(`${kind}: no instance was planned for it`);
    return ground.instance(name);
  };
  switch (kind) {
    case 'API instance killed':
    case 'worker killed':
      await endAndStart(instance(), 'SIGKILL', lastsMs);
      return msAway();
    case 'API instance stopped (SIGTERM)':
    case 'worker stopped (SIGTERM)':
      await endAndStart(instance(), 'SIGTERM', lastsMs);
      return msAway();
    case 'API instance frozen':
    case 'worker frozen':
      instance().freeze();
      await pause(lastsMs);
      instance().thaw();
      return msAway();
    case 'broker stopped':
      await broker.halt();
      await pause(lastsMs);
      await broker.restart();
      return msAway();
    case 'broker killed':
      await broker.kill();
      await pause(lastsMs);
      await broker.restart();
      return msAway();
    case 'every timer lost':
      return { count: await timers.purge(), what: 'timers lost' };
    case 'every timer delivered three times':
      return { count: await timers.triple(), what: 'timers tripled' };
    case 'connections to the broker cut':
      return cut(instance().toBroker);
    case 'connections to the database cut':
      return cut(instance().toDatabase);
    case 'connections to the broker delayed':
      return delay(instance().toBroker, lastsMs, delayMs);
    case 'connections to the database delayed':
      return delay(instance().toDatabase, lastsMs, delayMs);
    case 'connections to the broker black-holed':
      return blackHole(instance().toBroker, lastsMs);
    case 'connections to the database black-holed':
      return blackHole(instance().toDatabase, lastsMs);
    case 'sessions ended by pg_terminate_backend':
      return { count: await database.terminateSessions(), what: 'sessions ended' };
    case 'database restarted':
      await database.restart('SIGINT');
      return msAway();
    case 'database killed':
      await database.restart('SIGKILL');
      return msAway();
  }
}

async function endAndStart(instance: Instance, signal: 'SIGKILL' | 'SIGTERM', awayMs: number): Promise<void> {
  await instance.end(signal);
  await pause(awayMs);
  instance.start();
  await instance.whenReady();
}

type Proxy = Instance['toBroker'];

function cut(proxy: Proxy): Injected['seen'] {
  const count = proxy.connections;
  proxy.cutAll();
  return { count, what: 'connections cut' };
}

async function delay(proxy: Proxy, lastsMs: number, delayMs: number): Promise<Injected['seen']> {
  const count = proxy.connections;
  proxy.delayMs = delayMs;
  await pause(lastsMs);
  proxy.delayMs = 0;
  return { count, what: 'connections slow' };
}

async function blackHole(proxy: Proxy, lastsMs: number): Promise<Injected['seen']> {
  const count = proxy.connections;
  proxy.blackHole();
  await pause(lastsMs);
  proxy.heal();
  return { count, what: 'connections mute' };
}

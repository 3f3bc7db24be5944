import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { mintToken } from '../src/cli/token/mint.js';
import { parseEnvironment } from '../src/config/environment.js';
import { findFreePort } from '../src/database/postgres-server.js';
import type { Ground, Server } from '../test/figures/ground.js';
import { type House, openDatabase } from '../test/figures/house.js';
import type { BenchOptions } from './arguments.js';
import { BareServer, type Mode } from './bare/bare-server.js';
import type { Query } from './halls.js';
import type { LoadResult } from './load/job.js';
import type { LoadGenerator } from './load/load-generator.js';
import { invalidate, type Row } from './rows.js';

const KIB_PER_MB = 1_024;

/** What is under load, and its database past it. */
export interface Side {
  /** Where it listens on 127.0.0.1. */
  ports: readonly number[];
  query: Query;
  /** The token that a user, or an organizer, sends; where nobody is asked for one there is none. */
  sign?: (userId: string, role?: 'organizer') => Promise<string>;
  /** Whether the service sees those tokens for the first time in a turn. Else it has seen each of them before the turn. */
  areTokensNew?: boolean;
}

export interface Service extends Side {
  house: House;
}

/** One turn of one contender. */
export interface Turn {
  /** New to every database; letters and digits. */
  tag: string;
  seconds: number;
}

/** All of the load is one caller's: its requests are counted, and never too many. */
const UNREACHED = { RATE_LIMIT_PER_MINUTE: '10000000' };

/** What every part of the benchmark measures with. */
export class Bench {
  private turns = 0;

  constructor(
    readonly ground: Ground<Server>,
    readonly load: LoadGenerator,
    readonly options: Pick<BenchOptions, 'rounds' | 'seconds'>,
    private readonly log: (message: string) => void,
  ) {}

  /** An instance of the service as it runs in production, in every role, on a new database. */
  async openService(more: Record<string, string> = {}): Promise<Service> {
    const { url } = await this.ground.broker;
    const env = { NODE_ENV: 'production', AUTH_MODE: 'off', RABBITMQ_URL: url, ...UNREACHED, ...more };
    const house = await this.ground.openHouse(env);
    return { house, ports: [house.instance.port], query: (sql, parameters) => house.query(sql, parameters) };
  }

  /** The same with all that guards it, set so that nobody is refused: tokens, limits, a cap on bookings; and with metrics. */
  async openGuardedService(): Promise<Service> {
    const auth = { AUTH_MODE: 'jwt', JWT_SECRET: randomBytes(32).toString('base64') };
    const service = await this.openService({
      ...auth,
      MAX_ACTIVE_BOOKINGS_PER_USER: '100',
      METRICS_PORT: String(await findFreePort()),
    });
    const settings = parseEnvironment(auth).auth;
    const sign: Side['sign'] = (sub, role) => mintToken(settings, { sub, role: role ?? null, ttlSeconds: 3_600 });
    return { ...service, sign };
  }

  /** Bare servers, a process for each of these modes, on one new database. */
  async openBare<Wanted extends Mode>(modes: readonly Wanted[]): Promise<Record<Wanted, Side>> {
    const { url } = await this.ground.createDatabase();
    const database = await openDatabase(url);
    this.ground.atEnd(() => database.destroy());
    const query: Query = (sql, parameters) => database.query(sql, parameters);
    await BareServer.createTables(query);
    const sides: Partial<Record<Mode, Side>> = {};
    for (const mode of modes) {
      const server = await BareServer.start(url, mode);
      this.ground.atEnd(() => server.stop());
      sides[mode] = { ports: [server.port], query };
    }
    return sides as Record<Wanted, Side>;
  }

  /**
   * Gives every contender its turn in every round, another one first each time. Before that each has a turn that does not
   * count: what is measured is a server that runs, not one that starts.
   */
  async inTurn<Name extends string>(
    contenders: Record<Name, (turn: Turn) => Promise<LoadResult>>,
  ): Promise<Record<Name, LoadResult[]>> {
    const names = Object.keys(contenders) as Name[];
    const results = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, LoadResult[]>;
    const { rounds, seconds } = this.options;
    for (const name of names) await contenders[name]({ tag: this.nextTag(), seconds: Math.min(1, seconds) });
    for (let round = 0; round < rounds; round++) {
      const first = round % names.length;
      for (const name of [...names.slice(first), ...names.slice(0, first)]) {
        const result = await contenders[name]({ tag: this.nextTag(), seconds });
        results[name].push(result);
        this.log(`  ${name}: ${Math.round(result.perSecond)}/s, p99 ${result.p99Ms.toFixed(1)} ms`);
      }
    }
    return results;
  }

  nextTag(): string {
    return `t${++this.turns}`;
  }

  /** Ends an instance; where it broke a rule of the service meanwhile, these figures of it do not count. */
  async leave(service: Service, rows: readonly Row[]): Promise<Row[]> {
    const why = await this.close(service);
    return why === null ? [...rows] : rows.map((row) => invalidate(row, why));
  }

  /** Ends an instance. @returns which rule of the service it broke meanwhile, if any */
  async close({ house }: Service): Promise<string | null> {
    const [broken] = await house.brokenRules();
    await house.close();
    return broken === undefined ? null : `${broken.total} rows break the rule "${broken.rule}"`;
  }
}

/** Resident memory of a process, MB. Read from /proc where there is one: starting `ps` ten times a second would be a load itself. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  if (kib !== undefined) return Number(kib) / KIB_PER_MB;
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
  return Number(stdout) / KIB_PER_MB;
}

/** The most resident memory of a process while something is done, MB, looked at again and again. */
export async function mostResidentMb<T>(
  pid: number,
  work: () => Promise<T>,
  intervalMs = 100,
): Promise<{ result: T; mostMb: number }> {
  let mostMb = await residentMb(pid);
  const look = async (): Promise<void> => {
    mostMb = Math.max(mostMb, await residentMb(pid));
  };
  const looks: Promise<void>[] = [];
  const timer = setInterval(() => void looks.push(look()), intervalMs);
  const result = await work().finally(() => clearInterval(timer));
  await Promise.all([...looks, look()]);
  return { result, mostMb };
}

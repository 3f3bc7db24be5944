/** What the environment says, validated whole. Lengths carry their unit in the name. */
export interface Environment {
  http: { host: string; port: number };
  database: {
    /** A `postgres://` URL; `null`: an embedded PostgreSQL in `.data/`. */
    url: string | null;
    poolMax: number;
    poolMinIdle: number;
    pooler: Pooler;
    runMigrations: boolean;
  };
  /** `null`: no broker; the sweep alone keeps time. */
  broker: { url: string; queuePrefix: string; queueType: 'classic' | 'quorum' } | null;
  role: Role;
  offers: {
    windowMs: number;
    /** After so many offers missed in a row a booking is canceled; 0: never. */
    maxMissed: number;
  };
  /** How long between two sweeps: with a broker that is up, and without one. */
  sweep: { intervalMs: number; quickIntervalMs: number };
  /** So many days after a conference its bookings go into the archive; 0: never. */
  retentionDays: number;
  shutdownDelayMs: number;
  logLevel: LogLevel;
}

/** `all`: API and timers; `api`: no timers, no sweep; `worker`: timers and sweep, and over HTTP only health. */
export type Role = 'all' | 'api' | 'worker';

const POOLERS = ['none', 'transaction'] as const;
/** What stands between the service and PostgreSQL: nothing, or a pooler that gives out connections per transaction. */
export type Pooler = (typeof POOLERS)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Every mistake found in the environment, a sentence each. */
export class EnvironmentError extends Error {
  constructor(readonly mistakes: readonly string[]) {
    super(`The environment is not valid:\n${mistakes.map((mistake) => `  - ${mistake}`).join('\n')}`);
    this.name = 'EnvironmentError';
  }
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads the service's settings from environment variables. An empty variable counts as one that is not set.
 * @throws EnvironmentError that names every mistake at once, never only the first
 */
export function parseEnvironment(variables: Variables): Environment {
  const read = new Reader(variables);

  const poolMax = read.number('DB_POOL_MAX_SIZE', { default: 10, min: 2, max: 200, integer: true });
  const pooler = read.oneOf('DB_POOLER', POOLERS, 'none');
  const sweepDefaults = read.isSet('SWEEP_INTERVAL_SECONDS') ? null : { intervalMs: 5_000, quickIntervalMs: 100 };
  const sweepMs = read.milliseconds('SWEEP_INTERVAL_SECONDS', { default: 5, min: 0.05, max: 3_600 });
  const environment: Environment = {
    http: {
      host: read.text('HOST', '127.0.0.1'),
      port: read.number('PORT', { default: 8080, min: 1, max: 65_535, integer: true }),
    },
    database: {
      url: read.url('DATABASE_URL', ['postgres:', 'postgresql:']),
      poolMax,
      poolMinIdle: read.number('DB_POOL_MIN_IDLE', {
        default: Math.min(2, poolMax),
        min: 0,
        max: poolMax,
        integer: true,
      }),
      pooler,
      runMigrations: read.flag('RUN_MIGRATIONS', pooler === 'none'),
    },
    broker: readBroker(read),
    role: readRole(read),
    offers: {
      windowMs: read.milliseconds('CONFIRMATION_WINDOW_SECONDS', { default: 10, min: 0.1, max: 2_592_000 }),
      maxMissed: read.number('MAX_MISSED_OFFERS', { default: 0, min: 0, max: 1_000, integer: true }),
    },
    sweep: sweepDefaults ?? { intervalMs: sweepMs, quickIntervalMs: sweepMs },
    retentionDays: read.number('RETENTION_DAYS', { default: 0, min: 0, max: 36_500, integer: true }),
    shutdownDelayMs: read.milliseconds('SHUTDOWN_DELAY_SECONDS', { default: 0, min: 0, max: 60 }),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
  };
  if (environment.database.url === null && variables.NODE_ENV === 'production') {
    read.mistakes.push(
      'DATABASE_URL must be set when NODE_ENV is production: the embedded database is for development',
    );
  }
  if (pooler === 'transaction' && environment.database.runMigrations) {
    read.mistakes.push(
      'RUN_MIGRATIONS=true and DB_POOLER=transaction exclude each other: migrate with `npm run migration:run`, past the pooler',
    );
  }
  if (read.mistakes.length > 0) throw new EnvironmentError(read.mistakes);
  return environment;
}

function readRole(read: Reader): Role {
  const consumes = read.flag('ENABLE_QUEUE_CONSUMERS', true);
  const workerOnly = read.flag('WORKER_ONLY', false);
  if (workerOnly && !consumes) {
    read.mistakes.push(
      'WORKER_ONLY=true and ENABLE_QUEUE_CONSUMERS=false exclude each other: a worker that consumes nothing has no work',
    );
  }
  if (workerOnly) return 'worker';
  return consumes ? 'all' : 'api';
}

function readBroker(read: Reader): Environment['broker'] {
  const host = read.matching('RABBITMQ_HOST', /^[A-Za-z0-9.-]+$/, 'a host name such as rabbitmq');
  const url =
    read.url('RABBITMQ_URL', ['amqp:', 'amqps:']) ?? (host === null ? null : `amqp://guest:guest@${host}:5672`);
  const queuePrefix = read.matching(
    'RABBITMQ_QUEUE_PREFIX',
    /^[A-Za-z0-9._-]{1,100}$/,
    '1 to 100 of letters, digits, ".", "_" and "-"',
  );
  const queueType = read.oneOf('RABBITMQ_QUEUE_TYPE', ['classic', 'quorum'] as const, 'classic');
  return url === null ? null : { url, queuePrefix: queuePrefix ?? 'booking', queueType };
}

/** Reads one variable after the other and remembers what is wrong with each. */
class Reader {
  readonly mistakes: string[] = [];

  constructor(private readonly variables: Variables) {}

  isSet(name: string): boolean {
    return this.value(name) !== null;
  }

  text(name: string, otherwise: string): string {
    return this.value(name) ?? otherwise;
  }

  number(name: string, bounds: { default: number; min: number; max: number; integer?: boolean }): number {
    const text = this.value(name);
    if (text === null) return bounds.default;
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (value >= bounds.min && value <= bounds.max && (bounds.integer !== true || Number.isInteger(value)))
      return value;
    const kind = bounds.integer === true ? 'a whole number' : 'a number';
    this.mistakes.push(`${name} must be ${kind} from ${bounds.min} to ${bounds.max}, not "${text}"`);
    return bounds.default;
  }

  milliseconds(name: string, bounds: { default: number; min: number; max: number }): number {
    return Math.round(this.number(name, bounds) * 1_000);
  }

  flag(name: string, otherwise: boolean): boolean {
    return this.oneOf(name, ['true', 'false'] as const, otherwise ? 'true' : 'false') === 'true';
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
    const text = this.value(name);
    if (text === null) return otherwise;
    const found = allowed.find((value) => value === text);
    if (found === undefined) this.mistakes.push(`${name} must be one of ${allowed.join(', ')}, not "${text}"`);
    return found ?? otherwise;
  }

  matching(name: string, pattern: RegExp, what: string): string | null {
    const text = this.value(name);
    if (text === null || pattern.test(text)) return text;
    this.mistakes.push(`${name} must be ${what}, not "${text}"`);
    return null;
  }

  /** The value is never repeated in a mistake: it may carry a password. */
  url(name: string, protocols: readonly string[]): string | null {
    const text = this.value(name);
    if (text === null) return null;
    const url = URL.canParse(text) ? new URL(text) : null;
    if (url !== null && protocols.includes(url.protocol) && url.hostname !== '') {
      // An unescaped # or / in a password makes another URL of it, and an unescaped % none at all.
      if (url.hash === '' && isDecodable(url.username + url.password + url.pathname)) return text;
      this.mistakes.push(
        `${name} must have what is special in its user and password percent-encoded: @ / # and % as %40 %2F %23 %25`,
      );
      return null;
    }
    this.mistakes.push(`${name} must be a URL such as ${protocols[0] ?? ''}//user:password@host:port/name`);
    return null;
  }

  private value(name: string): string | null {
    const text = this.variables[name]?.trim();
    return text === undefined || text === '' ? null : text;
  }
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

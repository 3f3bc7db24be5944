/** What the environment says, validated whole. Lengths carry their unit in the name. */
export interface Environment {
  http: {
    host: string;
    port: number;
    /** Whose `X-Forwarded-For` is believed: that of so many hops, or of these addresses and networks. */
    trustProxy: number | string[];
    /** Connections at once; one more is closed. */
    maxConnections: number;
    /** The origins whose pages may read answers. */
    corsOrigins: string[];
  };
  auth: Auth;
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
  /** What one caller and one user may have; 0: as much as they like. */
  limits: { requestsPerMinute: number; activeBookingsPerUser: number };
  /** How long between two sweeps: with a broker that is up, and without one. */
  sweep: { intervalMs: number; quickIntervalMs: number };
  /** So many days after a conference its bookings go into the archive; 0: never. */
  retentionDays: number;
  shutdownDelayMs: number;
  logLevel: LogLevel;
  /** Where metrics are told: on a port of their own, to whoever has the token, or both; `null`: nowhere. */
  metrics: { port: number | null; token: string | null } | null;
  /** Where traces are sent, as what, and what part of them, 0 to 1; `null`: there are none. */
  traces: { endpoint: string; serviceName: string; ratio: number } | null;
}

/** Whether callers must say who they are, and by whose word they are believed. */
export type Auth =
  | { mode: 'off' }
  | {
      mode: 'jwt';
      /** Of an identity provider, or a secret that is shared with whoever issues tokens. */
      keys: { jwksUrl: string } | { secret: string };
      /** What a token must say of who issued it, and for whom; `null`: nothing. */
      issuer: string | null;
      audience: string | null;
      /** The claim that makes an organizer: its name, or the path to it with dots. */
      roleClaim: string;
    };

/** `all`: API and timers; `api`: no timers, no sweep; `worker`: timers and sweep, and over HTTP only health. */
export type Role = 'all' | 'api' | 'worker';

const POOLERS = ['none', 'transaction'] as const;
/** What stands between the service and PostgreSQL: nothing, or a pooler that gives out connections per transaction. */
export type Pooler = (typeof POOLERS)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * 20 a second, and all of a minute's at once: an office of a hundred behind one address has 12 for each, and a burst of 300
 * is a quarter of it. An instance that books 9,000 a second gives one caller 0.2 % of itself.
 */
const PRODUCTION_REQUESTS_PER_MINUTE = 1_200;
/** More proxies in a row than anybody has. */
const HOPS_MOST = 10;

/** Every mistake found in the environment, a sentence each. */
export class EnvironmentError extends Error {
  constructor(readonly mistakes: readonly string[]) {
    super(`The environment is not valid:\n${mistakes.map((mistake) => `  - ${mistake}`).join('\n')}`);
    this.name = 'EnvironmentError';
  }
}

type Variables = Readonly<Record<string, string | undefined>>;

/** What the settings are for: an instance of the service, or a command that serves nobody. */
export type Purpose = 'service' | 'command';

/** The bytes that HS256 asks of its key. Source: RFC 7518, section 3.2 */
const SECRET_BYTES_LEAST = 32;

/**
 * Reads the service's settings from environment variables. An empty variable counts as one that is not set.
 * @throws EnvironmentError that names every mistake at once, never only the first
 */
export function parseEnvironment(variables: Variables, purpose: Purpose = 'service'): Environment {
  const read = new Reader(variables);
  const isProduction = variables.NODE_ENV === 'production';

  const poolMax = read.number('DB_POOL_MAX_SIZE', { default: 10, min: 2, max: 200, integer: true });
  const pooler = read.oneOf('DB_POOLER', POOLERS, 'none');
  const sweepDefaults = read.isSet('SWEEP_INTERVAL_SECONDS') ? null : { intervalMs: 5_000, quickIntervalMs: 100 };
  const sweepMs = read.milliseconds('SWEEP_INTERVAL_SECONDS', { default: 5, min: 0.05, max: 3_600 });
  const role = readRole(read);
  const environment: Environment = {
    http: {
      host: read.text('HOST', '127.0.0.1'),
      port: read.number('PORT', { default: 8080, min: 1, max: 65_535, integer: true }),
      trustProxy: readTrustProxy(read),
      maxConnections: read.number('MAX_CONNECTIONS', { default: 16_000, min: 1, max: 1_000_000, integer: true }),
      corsOrigins: readCorsOrigins(read),
    },
    // A worker serves no API: it asks nobody, and needs no keys.
    auth: role === 'worker' ? { mode: 'off' } : readAuth(read, isProduction, purpose),
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
    role,
    offers: {
      windowMs: read.milliseconds('CONFIRMATION_WINDOW_SECONDS', { default: 10, min: 0.1, max: 2_592_000 }),
      maxMissed: read.number('MAX_MISSED_OFFERS', { default: 0, min: 0, max: 1_000, integer: true }),
    },
    limits: {
      requestsPerMinute: read.number('RATE_LIMIT_PER_MINUTE', {
        default: variables.NODE_ENV === 'production' ? PRODUCTION_REQUESTS_PER_MINUTE : 0,
        min: 0,
        max: 10_000_000,
        integer: true,
      }),
      activeBookingsPerUser: read.number('MAX_ACTIVE_BOOKINGS_PER_USER', {
        default: 0,
        min: 0,
        max: 10_000,
        integer: true,
      }),
    },
    sweep: sweepDefaults ?? { intervalMs: sweepMs, quickIntervalMs: sweepMs },
    retentionDays: read.number('RETENTION_DAYS', { default: 0, min: 0, max: 36_500, integer: true }),
    shutdownDelayMs: read.milliseconds('SHUTDOWN_DELAY_SECONDS', { default: 0, min: 0, max: 60 }),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    metrics: readMetrics(read),
    traces: readTraces(read),
  };
  if (environment.metrics?.port === environment.http.port) {
    read.mistakes.push('METRICS_PORT must differ from PORT: on that one, METRICS_TOKEN is what guards the metrics');
  }
  if (environment.database.url === null && isProduction) {
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

function readAuth(read: Reader, isProduction: boolean, purpose: Purpose): Auth {
  const mode = read.oneOf('AUTH_MODE', ['off', 'jwt'] as const, 'off');
  const jwksUrl = read.url('JWT_JWKS_URL', ['https:', 'http:']);
  const secret = read.secret(
    'JWT_SECRET',
    (text) => Buffer.byteLength(text) >= SECRET_BYTES_LEAST,
    `have at least ${SECRET_BYTES_LEAST} bytes: make one with \`openssl rand -base64 32\``,
  );
  const issuer = read.optional('JWT_ISSUER');
  const audience = read.optional('JWT_AUDIENCE');
  const roleClaim = read.text('JWT_ROLE_CLAIM', 'role');
  if (purpose === 'service' && !read.isSet('AUTH_MODE')) {
    const set = ['JWT_JWKS_URL', 'JWT_SECRET', 'JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_ROLE_CLAIM'].find((name) =>
      read.isSet(name),
    );
    if (isProduction) {
      read.mistakes.push(
        'AUTH_MODE must be set when NODE_ENV is production: jwt, or off behind a gateway that knows who is asking',
      );
    } else if (set !== undefined) {
      read.mistakes.push(`${set} is set, and without AUTH_MODE nobody is asked for a token: set AUTH_MODE=jwt, or off`);
    }
  }
  if (mode === 'off') return { mode };
  if (jwksUrl !== null && secret !== null) {
    read.mistakes.push('JWT_JWKS_URL and JWT_SECRET exclude each other: tokens are believed by the word of one');
  }
  if (jwksUrl?.startsWith('http:') === true && isProduction) {
    read.mistakes.push(
      'JWT_JWKS_URL must begin with https: when NODE_ENV is production: whoever answers it decides who gets in',
    );
  }
  if (jwksUrl !== null && (issuer === null || audience === null)) {
    read.mistakes.push(
      'JWT_ISSUER and JWT_AUDIENCE must be set with JWT_JWKS_URL: a provider issues tokens for others, too',
    );
  }
  if (purpose === 'service' && !read.isSet('JWT_JWKS_URL') && !read.isSet('JWT_SECRET')) {
    read.mistakes.push('AUTH_MODE=jwt needs JWT_JWKS_URL, or JWT_SECRET');
  }
  return { mode, keys: jwksUrl === null ? { secret: secret ?? '' } : { jwksUrl }, issuer, audience, roleClaim };
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

function readMetrics(read: Reader): Environment['metrics'] {
  const port = read.number('METRICS_PORT', { default: 0, min: 0, max: 65_535, integer: true });
  const token = read.secret(
    'METRICS_TOKEN',
    (text) => /^[!-~]{16,}$/.test(text),
    'be at least 16 printable ASCII characters without spaces',
  );
  return port === 0 && token === null ? null : { port: port === 0 ? null : port, token };
}

function readTrustProxy(read: Reader): number | string[] {
  const parts = read.list('TRUST_PROXY');
  const [first = '0'] = parts;
  if (parts.length <= 1 && /^\d+$/.test(first) && Number(first) <= HOPS_MOST) return Number(first);
  const wrong = parts.find((part) => !isNetwork(part));
  if (wrong === undefined) return parts;
  read.mistakes.push(
    `TRUST_PROXY must be a number of hops from 0 to ${HOPS_MOST}, or addresses and networks such as 10.0.0.0/8 separated by commas, not "${wrong}"`,
  );
  return 0;
}

function readCorsOrigins(read: Reader): string[] {
  const origins = read.list('CORS_ORIGINS');
  for (const origin of origins) {
    if (origin.includes('*')) {
      read.mistakes.push('CORS_ORIGINS must name each origin: * would let any page read what the service answers');
    } else if (!isOrigin(origin)) {
      read.mistakes.push(
        `CORS_ORIGINS must be origins such as https://tickets.example.com, without a path, separated by commas, not "${origin}"`,
      );
    }
  }
  return origins;
}

/** The names are OpenTelemetry's. Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables */
function readTraces(read: Reader): Environment['traces'] {
  const endpoint = read.url('OTEL_EXPORTER_OTLP_ENDPOINT', ['http:', 'https:']);
  const serviceName = read.text('OTEL_SERVICE_NAME', 'conference-booking');
  const ratio = read.number('OTEL_TRACES_SAMPLER_ARG', { default: 1, min: 0, max: 1 });
  return endpoint === null ? null : { endpoint, serviceName, ratio };
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

  optional(name: string): string | null {
    return this.value(name);
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

  /** As {@link matching}, and the value is never repeated in a mistake. */
  secret(name: string, isFit: (text: string) => boolean, what: string): string | null {
    const text = this.value(name);
    if (text === null || isFit(text)) return text;
    this.mistakes.push(`${name} must ${what}`);
    return null;
  }

  /** What stands between commas; nothing where it is not set. */
  list(name: string): string[] {
    return (
      this.value(name)
        ?.split(',')
        .map((part) => part.trim()) ?? []
    );
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
    const rest = protocols.includes('https:') ? 'host/path' : 'user:password@host:port/name';
    this.mistakes.push(`${name} must be a URL such as ${protocols[0] ?? ''}//${rest}`);
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

/** An address, or a network by the number of its bits. */
function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const length = lengthOf(address);
  return length > 0 && more.length === 0 && (bits === undefined || isBetween(bits, 1, length));
}

/** The bits of an IP address; 0: it is none. */
function lengthOf(address: string): number {
  if (address.includes(':')) return URL.canParse(`http://[${address}]`) ? 128 : 0;
  const parts = address.split('.');
  return parts.length === 4 && parts.every((part) => isBetween(part, 0, 255)) ? 32 : 0;
}

function isBetween(text: string, least: number, most: number): boolean {
  return /^(0|[1-9]\d*)$/.test(text) && Number(text) >= least && Number(text) <= most;
}

function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

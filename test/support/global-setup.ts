import './resolve-typescript.cjs';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { startBroker } from './broker.js';
import { createTemplateDatabase } from './database.js';
import { startPooler } from './pooler.js';

declare global {
  /** What the tests stand on, as long as it runs: how many projects have set it up, and how to end it. */
  var testGround: { users: number; ready: Promise<void>; end: () => Promise<void> } | undefined;
}

type Ending = () => Promise<void> | void;

async function startDatabase(endings: Ending[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'booking-tests-'));
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  // Where the tests run as root, the server runs as another user, who must get through.
  chmodSync(folder, 0o711);
  const postgres = await startEmbeddedPostgres({
    folder: join(folder, 'data'),
    openFolder: join(folder, 'open'),
    log: (message) => process.stderr.write(`${message}\n`),
    // The tests kill processes, not the machine.
    settings: { fsync: 'off', full_page_writes: 'off', max_wal_size: '2GB', shared_buffers: '256MB' },
  });
  endings.push(() => postgres.stop());
  process.env.TEST_DATABASE_URL = postgres.url;
  await createTemplateDatabase();
  if (process.env.TEST_POOLER !== 'true') return;
  const pooler = await startPooler(postgres.url);
  endings.push(() => pooler.stop());
  process.env.TEST_POOLER_URL = pooler.envFor(postgres.url).DATABASE_URL;
}

async function startMessaging(endings: Ending[]): Promise<void> {
  if (process.env.RABBITMQ_URL) {
    process.env.TEST_RABBITMQ_URL = process.env.RABBITMQ_URL;
    return;
  }
  const broker = await startBroker();
  endings.push(() => broker.stop());
  process.env.TEST_RABBITMQ_URL = broker.url;
}

/** Starts PostgreSQL and RabbitMQ once for all projects of a run. Jest calls it before the first test. */
export default async function setUp(): Promise<void> {
  if (globalThis.testGround) {
    globalThis.testGround.users++;
    return globalThis.testGround.ready;
  }
  const endings: Ending[] = [];
  const endOnSignal = (signal: NodeJS.Signals): void => {
    void end().finally(() => process.kill(process.pid, signal));
  };
  const end = async (): Promise<void> => {
    process.off('SIGINT', endOnSignal).off('SIGTERM', endOnSignal);
    for (const ending of endings.splice(0).reverse()) await ending();
  };
  process.once('SIGINT', endOnSignal).once('SIGTERM', endOnSignal);
  const start = async (): Promise<void> => {
    const outcomes = await Promise.allSettled([startDatabase(endings), startMessaging(endings)]);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failed) return;
    await end();
    throw failed.reason;
  };
  globalThis.testGround = { users: 1, ready: start(), end };
  await globalThis.testGround.ready;
}

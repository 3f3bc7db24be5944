import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { type Broker, startBroker } from '../support/broker.js';
import { House, openDatabase } from './house.js';
import { Instance } from './instance.js';

/** What everything is measured on: a PostgreSQL with its default durability and a RabbitMQ, on loopback and their own. */
export class Ground {
  private readonly endings: (() => unknown)[] = [];
  private houses = 0;
  private closed: Promise<void> | null = null;

  private constructor(
    private readonly folder: string,
    readonly postgres: Promise<EmbeddedPostgres>,
    readonly broker: Promise<Broker>,
  ) {
    this.endings.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
    for (const starting of [postgres, broker]) {
      // Whoever awaits it is told, too.
      starting.catch(() => undefined);
      this.endings.push(async () => (await starting.catch(() => null))?.stop());
    }
  }

  /** Begins to start both, and returns at once. @param log is told what becomes of the database */
  static start(log: (message: string) => void): Ground {
    const folder = mkdtempSync(join(tmpdir(), 'booking-figures-'));
    // Where this runs as root, the server runs as another user, who must get through.
    chmodSync(folder, 0o711);
    const places = { folder: join(folder, 'data'), openFolder: join(folder, 'open') };
    return new Ground(folder, startEmbeddedPostgres({ ...places, log }), startBroker());
  }

  /** The process id of the database server as it is now. */
  async findServerPid(): Promise<number> {
    const database = await openDatabase((await this.postgres).url);
    try {
      const [row] = await database.query<{ data_directory: string }[]>('SHOW data_directory');
      return Number.parseInt(readFileSync(join(row?.data_directory ?? '', 'postmaster.pid'), 'utf8'), 10);
    } finally {
      await database.destroy();
    }
  }

  /** A new database and an instance of the service on it. @param env what the instance is told besides */
  async openHouse(env: Record<string, string>): Promise<House> {
    const { url } = await this.postgres;
    const name = `house${++this.houses}`;
    const server = await openDatabase(url);
    await server.query(`CREATE DATABASE ${name}`).finally(() => server.destroy());
    const own = new URL(url);
    own.pathname = `/${name}`;
    const variables = { DATABASE_URL: own.href, RABBITMQ_QUEUE_PREFIX: name, ...env };
    const instance = await Instance.launch(this.folder, variables);
    const killNow = (): void => instance.killNow();
    process.once('exit', killNow);
    const house = new House(variables, instance, await openDatabase(own.href));
    this.endings.push(async () => {
      await house.close();
      process.off('exit', killNow);
    });
    await house.open();
    return house;
  }

  /** Ends all of it in reverse order, also what is only starting. */
  close(): Promise<void> {
    return (this.closed ??= this.endAll());
  }

  private async endAll(): Promise<void> {
    for (const ending of this.endings.splice(0).reverse()) await ending();
  }
}

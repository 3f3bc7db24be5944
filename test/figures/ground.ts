import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { type Broker, startBroker } from '../support/broker.js';
import { House, openDatabase } from './house.js';
import { Instance } from './instance.js';
import { deleteQueues } from './timers.js';

/** Something that listens at a URL until it is stopped. */
export interface Server {
  url: string;
  stop(): Promise<void>;
}

/** Servers that are there already, by their URLs; null or absent: one is started. */
export interface GivenServers {
  postgresUrl?: string | undefined;
  brokerUrl?: string | undefined;
}

/** What everything is measured on: a PostgreSQL with its default durability and a RabbitMQ, on loopback and their own. */
export class Ground<B extends Server = Broker> {
  private readonly endings: (() => unknown)[] = [];
  private readonly instances: Instance[] = [];
  private readonly prefix: string;
  private databases = 0;
  private closed: Promise<void> | null = null;

  private constructor(
    /** For working folders and data; deleted at the end. */
    readonly folder: string,
    readonly postgres: Promise<EmbeddedPostgres>,
    readonly broker: Promise<B>,
    /** Whether these servers outlive this ground: then it leaves nothing on them. */
    private readonly outlived: { postgres: boolean; broker: boolean },
  ) {
    // On a server of our own the name is alone; on another's it must be nobody else's.
    this.prefix = outlived.postgres || outlived.broker ? `house_${randomBytes(4).toString('hex')}_` : 'house';
    this.endings.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
    process.once('exit', this.killInstances);
    for (const starting of [postgres, broker]) {
      // Whoever awaits it is told, too.
      starting.catch(() => undefined);
      this.endings.push(async () => (await starting.catch(() => null))?.stop());
    }
  }

  /** Begins to start both, and returns at once. @param log is told what becomes of the database */
  static start(log: (message: string) => void): Ground {
    const folder = createFolder();
    return new Ground(folder, startPostgres(folder, log), startBroker(), { postgres: false, broker: false });
  }

  /** The same on servers that are there already, as far as they are: databases and queues on those are deleted at the end. */
  static startOn({ postgresUrl, brokerUrl }: GivenServers, log: (message: string) => void): Ground<Server> {
    const folder = createFolder();
    return new Ground<Server>(
      folder,
      postgresUrl === undefined ? startPostgres(folder, log) : Promise.resolve(leftAlone(postgresUrl)),
      brokerUrl === undefined ? startBroker() : Promise.resolve(leftAlone(brokerUrl)),
      { postgres: postgresUrl !== undefined, broker: brokerUrl !== undefined },
    );
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

  /** A new database with nothing in it. */
  async createDatabase(): Promise<{ name: string; url: string }> {
    const { url } = await this.postgres;
    const name = `${this.prefix}${++this.databases}`;
    await administer(url, `CREATE DATABASE ${name}`);
    if (this.outlived.postgres) this.atEnd(() => administer(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    const own = new URL(url);
    own.pathname = `/${name}`;
    return { name, url: own.href };
  }

  /** A new database and an instance of the service on it. @param env what the instance is told besides */
  async openHouse(env: Record<string, string>): Promise<House> {
    const { name, url } = await this.createDatabase();
    const variables = { DATABASE_URL: url, RABBITMQ_QUEUE_PREFIX: name, ...env };
    if (this.outlived.broker) this.atEnd(() => deleteQueues(variables));
    const house = new House(variables, await this.launch(variables), await openDatabase(url));
    this.atEnd(() => house.close());
    await house.open();
    return house;
  }

  /** One more process of the service, which may not be ready yet; it is ended with the ground, if not before. */
  async launch(variables: Record<string, string>): Promise<Instance> {
    const instance = await Instance.launch(this.folder, variables);
    this.instances.push(instance);
    this.atEnd(() => instance.stop());
    return instance;
  }

  /** Has something ended with the ground, before all that was there before it. */
  atEnd(ending: () => unknown): void {
    this.endings.push(ending);
  }

  /** Ends all of it in reverse order, also what is only starting. */
  close(): Promise<void> {
    return (this.closed ??= this.endAll());
  }

  private async endAll(): Promise<void> {
    for (const ending of this.endings.splice(0).reverse()) await ending();
    process.off('exit', this.killInstances);
  }

  private readonly killInstances = (): void => {
    for (const instance of this.instances) instance.killNow();
  };
}

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'booking-figures-'));
  // Where this runs as root, the server runs as another user, who must get through.
  chmodSync(folder, 0o711);
  return folder;
}

function startPostgres(folder: string, log: (message: string) => void): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ folder: join(folder, 'data'), openFolder: join(folder, 'open'), log });
}

function leftAlone(url: string): Server {
  return { url, stop: () => Promise.resolve() };
}

async function administer(url: string, statement: string): Promise<void> {
  const server = await openDatabase(url);
  await server.query(statement).finally(() => server.destroy());
}

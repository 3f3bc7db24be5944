import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { migrations } from '#migrations';

const TEMPLATE = 'template_booking';

/** Two clones at once fail: the template must be at rest. Test files may run in several processes. */
const CLONE_LOCK = 7_305_511;

/** A database of its own for a test file. */
export interface TestDatabase {
  /** The database as superuser. */
  url: string;
  /** Deletes it, and cuts whatever connections it still has. */
  drop(): Promise<void>;
}

function serverUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (!url)
    throw new Error('TEST_DATABASE_URL is not set: this file runs in a Jest project with global-setup.ts only.');
  return url;
}

function toUrl(database: string): string {
  const url = new URL(serverUrl());
  url.pathname = `/${database}`;
  return url.href;
}

async function administer(...statements: string[]): Promise<void> {
  const client = new Client({ connectionString: serverUrl() });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Creates the database that all others are copies of, with the schema as the migrations leave it. */
export async function createTemplateDatabase(): Promise<void> {
  await administer(`CREATE DATABASE ${TEMPLATE}`);
  const dataSource = new DataSource({
    type: 'postgres',
    url: toUrl(TEMPLATE),
    migrations,
    migrationsTransactionMode: 'all',
  });
  await dataSource.initialize();
  try {
    await dataSource.runMigrations();
  } finally {
    await dataSource.destroy();
  }
}

async function create(statement: (name: string) => string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(`SELECT pg_advisory_lock(${CLONE_LOCK})`, statement(name));
  return {
    url: toUrl(name),
    drop: () => administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** A new database with the full schema and no rows, in about 50 ms. */
export function createTestDatabase(): Promise<TestDatabase> {
  return create((name) => `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
}

/** A new database with nothing in it, for tests of the migrations themselves. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return create((name) => `CREATE DATABASE ${name}`);
}

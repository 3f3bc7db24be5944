// measure-storage.mjs [bookings]: books so often (20,000 unless told, at most 200,000) on a running service and says what that
// added to its database. DATABASE_URL is the database; SERVICE_URL the service, http://127.0.0.1:8080 unless told. The rows stay:
// give it a database of its own, on which nothing else writes.
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';

const bookings = Number(process.argv[2] ?? 20_000);
const { DATABASE_URL, SERVICE_URL = 'http://127.0.0.1:8080' } = process.env;
if (!Number.isInteger(bookings) || bookings < 1_000 || bookings > 200_000 || DATABASE_URL === undefined) {
  console.error('usage: DATABASE_URL=… [SERVICE_URL=…] node scripts/measure-storage.mjs [1000–200000]');
  process.exit(2);
}
const { ApiClient } = await import(join(import.meta.dirname, '..', 'dist', 'cli', 'api-client.js'));

const TABLES = ['bookings', 'booking_transitions'];
const CONFERENCES = 100;
const CLIENTS = 64;
const run = `m${Date.now().toString(36)}`;
const database = new pg.Client({ connectionString: DATABASE_URL });
const api = new ApiClient(new URL(SERVICE_URL), CLIENTS);

async function measure() {
  const { rows } = await database.query(
    `SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal, ${TABLES.map(
      (table) => `pg_total_relation_size('${table}') AS ${table}, (SELECT count(*) FROM ${table}) AS ${table}_rows`,
    ).join(', ')}`,
  );
  return Object.fromEntries(Object.entries(rows[0]).map(([name, value]) => [name, Number(value)]));
}

async function post(path, body) {
  const answer = await api.send('POST', path, body);
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

await database.connect();
await database.query('INSERT INTO users (user_id) SELECT $1 || n FROM generate_series(1, $2::int) n', [run, bookings]);
// Half of them find a slot, half wait.
const slots = Math.ceil(bookings / CONFERENCES / 2);
const day = (n) => new Date(Date.now() + (30 + n) * 86_400_000).toISOString().slice(0, 10);
for (let n = 1; n <= CONFERENCES; n++) {
  const times = { start: `${day(n)} 09:00:00`, end: `${day(n)} 17:00:00` };
  await post('/conference', { name: `${run} ${n}`, location: 'Hall 5', ...times, slots, topics: ['databases'] });
}
await database.query('CHECKPOINT');
const before = await measure();
const startedAt = performance.now();
let next = 0;
async function bookOnAndOn() {
  while (next < bookings) {
    const number = ++next;
    await post('/book', { user_id: `${run}${number}`, name: `${run} ${(number % CONFERENCES) + 1}` });
  }
}
await Promise.all(Array.from({ length: CLIENTS }, bookOnAndOn));
const seconds = (performance.now() - startedAt) / 1_000;
const after = await measure();
api.close();
await database.end();

const grown = (name) => (after[name] - before[name]) / bookings;
console.log(
  `${bookings} bookings by ${CLIENTS} clients in ${seconds.toFixed(1)} s: ${Math.round(bookings / seconds)}/s`,
);
for (const table of TABLES) {
  console.log(`${table}: ${grown(`${table}_rows`).toFixed(2)} rows, ${Math.round(grown(table))} bytes each booking`);
}
console.log(`WAL: ${Math.round(grown('wal'))} bytes each booking`);

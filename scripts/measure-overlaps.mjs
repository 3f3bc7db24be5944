// What it costs to keep bookings of one user apart: the same inserts under three forms of the exclusion constraint.
// usage: node scripts/measure-overlaps.mjs [ROUNDS]   (3 to 50; 10 unless told)
// It starts a PostgreSQL of its own, on loopback, and ends it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { build } from './build.mjs';

/** As many as one transaction of the box office books at most. */
const BATCH = 256;
const BATCHES_PER_ROUND = 20;
const FORMS = [
  ['none', null],
  ['by name', `EXCLUDE USING gist (user_id WITH =, during WITH &&)`],
  ['by hash', `EXCLUDE USING gist (hashtextextended(user_id, 0) WITH =, user_id COLLATE "C" WITH =, during WITH &&)`],
];

const rounds = Number(process.argv[2] ?? 10);
if (!(Number.isInteger(rounds) && rounds >= 3 && rounds <= 50)) {
  console.error('Give a number of rounds from 3 to 50.');
  process.exit(1);
}
build({ ifNeeded: true });
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
const { startEmbeddedPostgres } = await import(join(dist, 'database', 'embedded-postgres.js'));

const folder = mkdtempSync(join(tmpdir(), 'measure-overlaps-'));
chmodSync(folder, 0o711);
const server = await startEmbeddedPostgres({ folder: join(folder, 'data'), log: console.error });
const client = new pg.Client({ connectionString: server.url });
try {
  await client.connect();
  const { rows } = await client.query('SHOW server_version');
  await client.query('CREATE EXTENSION btree_gist');
  for (const [index, [, constraint]] of FORMS.entries()) {
    await client.query(`CREATE TABLE form_${index} (user_id text NOT NULL, during tstzrange NOT NULL)`);
    if (constraint !== null) await client.query(`ALTER TABLE form_${index} ADD ${constraint}`);
  }
  const times = FORMS.map(() => []);
  for (let round = 0; round < rounds; round++) {
    // In turn: what the machine does beside this hits all of them.
    for (const index of FORMS.keys()) {
      for (let batch = 0; batch < BATCHES_PER_ROUND; batch++) {
        const from = (round * BATCHES_PER_ROUND + batch) * BATCH;
        const began = performance.now();
        await client.query(
          `INSERT INTO form_${index} SELECT 'r0t1x' || n, tstzrange('2027-01-01 09:00Z', '2027-01-01 10:00Z')
           FROM generate_series($1::int, $1::int + ${BATCH - 1}) AS n`,
          [from],
        );
        times[index].push(performance.now() - began);
      }
    }
  }
  console.log(`PostgreSQL ${rows[0].server_version}, ${BATCH} bookings in one insert, ${times[0].length} times:`);
  for (const [index, [name]] of FORMS.entries()) {
    const sorted = times[index].sort((a, b) => a - b);
    console.log(`${name.padEnd(8)} ${sorted[sorted.length >> 1].toFixed(1)} ms`);
  }
} finally {
  await client.end().catch(() => undefined);
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

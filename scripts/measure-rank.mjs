// measure-rank.mjs [waiting]: what it costs the database to tell the last one in a line of so many (100,000 unless told, at most
// 1,000,000) their rank, by a count of the line and from its blocks, and what keeping the blocks costs. DATABASE_URL is an
// empty database; the rows stay. Below 100,000 it shows little: a short line is quickly counted.
import { join } from 'node:path';
import pg from 'pg';
import { build } from './build.mjs';

const waiting = Number(process.argv[2] ?? 100_000);
const { DATABASE_URL } = process.env;
if (!Number.isInteger(waiting) || waiting < 1_000 || waiting > 1_000_000 || DATABASE_URL === undefined) {
  console.error('usage: DATABASE_URL=… node scripts/measure-rank.mjs [1000–1000000]');
  process.exit(2);
}
build({ ifNeeded: true });
const dist = join(import.meta.dirname, '..', 'dist');
const { runMigrations } = await import(join(dist, 'database', 'migrate.js'));
const { RANK } = await import(join(dist, 'seating', 'line-rank.js'));

const LOOKS = 15;
const ROUNDS = 25;
const BATCH = 256;
const OFFERS = 128;
/** Whoever has waited longest and shortest, and whoever is in the middle, where counting from the nearer end is worst. */
const PLACES = { middle: Math.floor(waiting / 2), last: waiting };

const COUNT = `(SELECT count(*) FROM bookings w WHERE w.conference_id = b.conference_id
    AND w.status = 'WAITLISTED' AND w.queue_ticket <= b.queue_ticket)`;

const database = new pg.Client({ connectionString: DATABASE_URL });
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function explain(statement, parameters = []) {
  const { rows } = await database.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`, parameters);
  return rows[0]['QUERY PLAN'][0];
}

const lookUp = (rank, place) => `SELECT ${rank} AS rank FROM bookings b WHERE b.booking_id = ${place}`;

async function timeOfLook(rank, place) {
  const times = [];
  for (let look = 0; look < LOOKS; look++) times.push((await explain(lookUp(rank, place)))['Execution Time']);
  return `${median(times).toFixed(2)} ms`;
}

async function showLooks(pages) {
  for (const [who, place] of Object.entries(PLACES)) {
    const [before, after] = [await timeOfLook(COUNT, place), await timeOfLook(RANK, place)];
    console.log(`${pages}, the ${who} of ${waiting}: a count of the line ${before}, from its blocks ${after}`);
  }
}

async function showPlan(title, rank) {
  const { rows } = await database.query(`EXPLAIN (ANALYZE, BUFFERS) ${lookUp(rank, PLACES.last)}`);
  console.log(`\n${title}\n${rows.map((row) => `  ${row['QUERY PLAN']}`).join('\n')}`);
}

/** Runs a statement with the triggers and without them, in turn, and takes it back each time. */
async function showCost(title, statement, trigger) {
  const times = { with: [], without: [], trigger: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ['with', 'without']) {
      await database.query('BEGIN');
      if (way === 'without') await database.query(`ALTER TABLE bookings DISABLE TRIGGER ${trigger}`);
      // Once before it counts: what was disabled and enabled is planned anew.
      await database.query('SAVEPOINT before');
      await explain(statement);
      await database.query('ROLLBACK TO before');
      const plan = await explain(statement);
      await database.query('ROLLBACK');
      times[way].push(plan['Execution Time']);
      const own = plan.Triggers.find((each) => each['Trigger Name'] === trigger);
      if (own !== undefined) times.trigger.push(own.Time);
    }
  }
  const [all, bare, own] = [times.with, times.without, times.trigger].map((each) => median(each).toFixed(2));
  console.log(`${title}: ${all} ms, ${bare} ms without the trigger; the trigger itself ${own} ms`);
}

await database.connect();
try {
  await runMigrations(DATABASE_URL);
  await database.query(
    `INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots, waitlisted, last_ticket)
     VALUES ('Long', 'Hall', now() + interval '100 days', now() + interval '100 days 1 hour', 1, 0, $1::int, $1::int)`,
    [waiting],
  );
  await database.query(`INSERT INTO users (user_id) SELECT 'long' || n FROM generate_series(1, $1::int) n`, [
    waiting + BATCH,
  ]);
  const book = (from, to) => `
    INSERT INTO bookings (booking_id, conference_id, user_id, status, during, queue_ticket, created_at)
    SELECT n, conference_id, 'long' || n, 'WAITLISTED', tstzrange(starts_at, ends_at), n, now()
    FROM conferences, generate_series(${from}, ${to}) n ORDER BY n`;
  await database.query(book(1, waiting));

  await showLooks('fresh pages');
  await showPlan('The last one, fresh pages, by a count of the line:', COUNT);
  await showPlan('The last one, fresh pages, from the blocks:', RANK);
  await database.query('VACUUM ANALYZE');
  console.log();
  await showLooks('vacuumed');
  console.log();
  const batch = book(waiting + 1, waiting + BATCH);
  await showCost(`${BATCH} people join the line`, batch, 'bookings_line_insert');
  const offer = `UPDATE bookings SET status = 'ConfirmationPending', confirmation_deadline = now() WHERE queue_ticket <= ${OFFERS}`;
  await showCost(`${OFFERS} people are offered a slot`, offer, 'bookings_line_update');
} finally {
  await database.end();
}

// What a line of people who never answer costs: one slot, freed once, goes round among 10,000 of them.
// usage: node scripts/measure-absent-waiters.mjs [SECONDS]   (5 to 300 for each of the two settings; 20 unless told)
// It starts a PostgreSQL and a service of its own, on loopback, and ends both. Linux only: it reads /proc.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { build } from './build.mjs';

const { fetch } = globalThis;

const WAITERS = 10_000;
const WINDOW_SECONDS = 0.1;
/** What is extrapolated to: the default window, with which so many offers lie between two checkpoints. */
const REAL_WINDOW_SECONDS = 10;
const OFFERS_PER_CHECKPOINT = 30;
const IDLE_SECONDS = 5;
const TICKS_PER_SECOND = 100;

const seconds = Number(process.argv[2] ?? 20);
if (!(seconds >= 5 && seconds <= 300)) {
  console.error('Give a number of seconds from 5 to 300.');
  process.exit(1);
}
build({ ifNeeded: true });
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
const { startEmbeddedPostgres } = await import(join(dist, 'database', 'embedded-postgres.js'));
const { findFreePort } = await import(join(dist, 'database', 'postgres-server.js'));

/** The fields of /proc/PID/stat behind the program's name, from the state on. */
function statOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** CPU seconds of a process and of all its children, those that have ended included. */
function cpuSecondsOf(pid) {
  let ticks = 0;
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const [, parent, , , , , , , , , , user, system, endedUser, endedSystem] = statOf(name).map(Number);
      if (Number(name) === pid) ticks += user + system + endedUser + endedSystem;
      else if (parent === pid) ticks += user + system;
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks / TICKS_PER_SECOND;
}

async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

async function startService(env) {
  const port = await findFreePort();
  const child = spawn(process.execPath, [join(dist, 'main.js')], {
    env: { PATH: process.env.PATH, PORT: String(port), LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 600; tries++) {
    const isReady = await fetch(`${url}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { child, url };
    await pause(50);
  }
  child.kill('SIGKILL');
  throw new Error('The service did not become ready within 30 s.');
}

const LINE = `
  WITH conference AS (
    INSERT INTO conferences (name, location, starts_at, ends_at, total_slots, available_slots, waitlisted, last_ticket)
    VALUES ('Absent', 'Hall', now() + interval '100 days', now() + interval '100 days 1 hour', 1, 0, ${WAITERS}, ${WAITERS})
    RETURNING *
  ), people AS (
    INSERT INTO users (user_id) SELECT 'absent' || n FROM generate_series(0, ${WAITERS}) n RETURNING user_id
  ), booked AS (
    INSERT INTO bookings (conference_id, user_id, status, during, queue_ticket, missed_offers, created_at)
    SELECT conference_id, user_id, CASE n WHEN 0 THEN 'CONFIRMED' ELSE 'WAITLISTED' END::booking_status,
      tstzrange(starts_at, ends_at), nullif(n, 0), $1, now()
    FROM conference, (SELECT user_id, substr(user_id, 7)::int AS n FROM people) numbered ORDER BY n
    RETURNING booking_id, status
  )
  INSERT INTO booking_transitions (booking_id, to_status, reason, at)
  SELECT booking_id, status, CASE status WHEN 'CONFIRMED' THEN 'booked' ELSE 'joined_waitlist' END, now() FROM booked`;

/** Everything that is counted, so far. */
async function readCounts(client, servicePid, postmasterPid) {
  const { rows } = await client.query(`SELECT pg_current_wal_insert_lsn() - '0/0' AS wal,
    pg_total_relation_size('booking_transitions') AS bytes, (SELECT count(*) FROM booking_transitions) AS transitions,
    (SELECT count(*) FROM booking_transitions WHERE reason IN ('missed', 'missed_too_often')) AS missed`);
  const [{ wal, bytes, transitions, missed }] = rows;
  return {
    at: performance.now() / 1_000,
    wal: Number(wal),
    bytes: Number(bytes),
    transitions: Number(transitions),
    missed: Number(missed),
    service: cpuSecondsOf(servicePid),
    database: cpuSecondsOf(postmasterPid),
  };
}

async function measure(folder, maxMissed) {
  const postgres = await startEmbeddedPostgres({ folder: join(folder, `data-${maxMissed}`), log: console.error });
  let service;
  let client;
  try {
    service = await startService({
      DATABASE_URL: postgres.url,
      CONFIRMATION_WINDOW_SECONDS: String(WINDOW_SECONDS),
      SWEEP_INTERVAL_SECONDS: '0.05',
      MAX_MISSED_OFFERS: String(maxMissed),
    });
    client = await connect(postgres.url);
    const { rows } = await client.query(`SELECT pg_backend_pid() AS pid, current_setting('data_directory') AS folder`);
    const postmaster = Number(readFileSync(join(rows[0].folder, 'postmaster.pid'), 'utf8').split('\n')[0]);
    // Where an offer may be missed three times, what is measured is the third.
    await client.query(LINE, [Math.max(0, maxMissed - 1)]);
    await client.query('VACUUM ANALYZE');
    const count = () => readCounts(client, service.child.pid, postmaster);

    const idle = await count();
    await pause(IDLE_SECONDS * 1_000);
    const start = await count();
    await fetch(`${service.url}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ booking_id: 1 }),
    });
    let end = start;
    for (let checkpointAt = 0; end.at - start.at < seconds; end = await count()) {
      if (end.missed >= checkpointAt) {
        await client.query('CHECKPOINT');
        checkpointAt = end.missed + OFFERS_PER_CHECKPOINT;
      }
      await pause(200);
    }
    const offers = end.missed - start.missed;
    const share = (end.at - start.at) / (start.at - idle.at);
    const perOffer = (name) => (end[name] - start[name]) / offers;
    const cpuPerOffer = (name) => (end[name] - start[name] - (start[name] - idle[name]) * share) / offers;
    return {
      offers,
      transitions: perOffer('transitions'),
      // Of the whole table: a file grows by pages, and not by rows.
      bytes: (perOffer('transitions') * end.bytes) / end.transitions,
      wal: perOffer('wal'),
      serviceMs: 1_000 * cpuPerOffer('service'),
      databaseMs: 1_000 * cpuPerOffer('database'),
    };
  } finally {
    await client?.end();
    if (service !== undefined) {
      const ended = new Promise((resolve) => service.child.once('exit', resolve));
      service.child.kill('SIGTERM');
      await ended;
    }
    await postgres.stop();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'booking-absent-'));
chmodSync(folder, 0o711);
try {
  for (const maxMissed of [0, 3]) {
    const { offers, transitions, bytes, wal, serviceMs, databaseMs } = await measure(folder, maxMissed);
    const perDay = 86_400 / REAL_WINDOW_SECONDS;
    console.log(
      `MAX_MISSED_OFFERS=${maxMissed}: ${offers} offers missed in ${seconds} s, ${WAITERS} in line; for each ` +
        `${transitions.toFixed(2)} transitions, ${bytes.toFixed(0)} bytes of table and indexes, ${wal.toFixed(0)} bytes of WAL, ` +
        `CPU ${serviceMs.toFixed(1)} ms service and ${databaseMs.toFixed(1)} ms PostgreSQL`,
    );
    const days = maxMissed === 0 ? Infinity : (WAITERS * maxMissed) / perDay;
    console.log(
      `  with a window of ${REAL_WINDOW_SECONDS} s: ${perDay} offers a day${days === Infinity ? ', without end' : `, for ${days.toFixed(1)} days`}; ` +
        `${((transitions * perDay) / 24).toFixed(0)} transitions an hour, ${(transitions * perDay).toFixed(0)} a day; ` +
        `${((bytes * perDay) / 1e6).toFixed(1)} MB of table and ${((wal * perDay) / 1e6).toFixed(1)} MB of WAL a day`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

import 'reflect-metadata';
import Table from 'cli-table3';
import { loadEnvironment } from '../../config/load.js';
import { parseTextOptions, runProgram, UsageError } from '../client-program.js';
import { openDatabase, toSentence } from '../open-database.js';
import { auditDatabase, DEFAULT_GRACE_SECONDS, type Finding, inSnapshot, type Query } from './audit-database.js';

const MAX_GRACE_SECONDS = 3_600;

const USAGE = `usage: npm run audit -- [--grace SECONDS]

Checks the rules of the service on its database, in one snapshot and without changing or locking anything.
  --grace  how long what is due may take to be done, 0 to ${MAX_GRACE_SECONDS} (default ${DEFAULT_GRACE_SECONDS})`;

interface Options {
  graceSeconds: number;
}

function parseOptions(args: string[]): Options {
  const { grace } = parseTextOptions(args, ['grace']);
  if (grace === undefined) return { graceSeconds: DEFAULT_GRACE_SECONDS };
  const graceSeconds = /^\d{1,4}(\.\d{1,3})?$/.test(grace) ? Number(grace) : NaN;
  if (graceSeconds <= MAX_GRACE_SECONDS) return { graceSeconds };
  throw new UsageError(`Give --grace a number of seconds from 0 to ${MAX_GRACE_SECONDS}, not "${grace}".`);
}

async function audit({ graceSeconds }: Options): Promise<number> {
  const database = await openDatabase(loadEnvironment('command'), { log: console.error, migrate: false });
  try {
    const { findings, size } = await inSnapshot(database.dataSource, async (query) => ({
      size: await measure(query),
      findings: await auditDatabase(query, { graceSeconds }),
    }));
    for (const finding of findings) tell(finding);
    const broken = findings.filter(({ total }) => total > 0).length;
    const verdict = broken === 0 ? `${findings.length} rules hold` : `${broken} of ${findings.length} rules are broken`;
    console.log(`${verdict} on ${size}`);
    return broken === 0 ? 0 : 1;
  } catch (error) {
    throw toSentence(error, database);
  } finally {
    await database.close();
  }
}

async function measure(query: Query): Promise<string> {
  const [size] = await query(
    `SELECT (SELECT count(*) FROM conferences) AS conferences,
      (SELECT count(*) FROM bookings) + (SELECT count(*) FROM archived_bookings) AS bookings`,
  );
  return `${show(size?.conferences)} conferences, ${show(size?.bookings)} bookings`;
}

function tell({ rule, total, offending }: Finding): void {
  const [first] = offending;
  if (first === undefined) {
    console.log(`✓ ${rule}`);
    return;
  }
  console.log(`✗ ${rule}: ${total} ${total === 1 ? 'row' : 'rows'}`);
  const table = new Table({ head: Object.keys(first), style: { head: [], border: [], compact: true } });
  for (const row of offending) table.push(Object.values(row).map(show));
  console.log(table.toString());
  if (total > offending.length) console.log(`… and ${total - offending.length} more`);
}

function show(value: unknown): string {
  if (value === null) return '';
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

await runProgram({ usage: USAGE, parse: parseOptions, run: audit });

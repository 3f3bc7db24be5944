import Table from 'cli-table3';
import type { Finding } from '../../src/cli/audit/audit-database.js';
import type { Injected } from './faults.js';
import type { Step } from './history.js';
import type { Entry } from './journal.js';
import { type Fault, FAULT_KINDS } from './plan.js';

const LONGEST_CELL = 60;

function newTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}

/** When which fault is to come, what it befalls, and how long it lasts. */
export function renderPlan(plan: readonly Fault[]): string {
  const table = newTable(['At s', 'Fault', 'Befalls', 'Lasts ms']);
  for (const { atMs, kind, instance, lastsMs, delayMs } of plan) {
    const lasts = delayMs === 0 ? String(lastsMs) : `${lastsMs}, ${delayMs} ms late`;
    table.push([(atMs / 1_000).toFixed(1), kind, instance ?? 'all', lastsMs === 0 ? '' : lasts]);
  }
  return table.toString();
}

/** Of every kind: how often it was injected, and what was seen of it. */
export function renderInjected(injected: readonly Injected[], journal: readonly Entry[]): string {
  const table = newTable(['Fault', 'Injected', 'Seen', '503s meanwhile', 'Unanswered']);
  for (const kind of FAULT_KINDS) {
    const own = injected.filter((fault) => fault.kind === kind);
    if (own.length === 0) continue;
    const meanwhile = journal.filter(({ sentAt, endedAt }) =>
      own.some(({ from, to }) => from <= endedAt && to >= sentAt),
    );
    const sum = own.reduce((so, { seen }) => so + seen.count, 0);
    table.push([
      kind,
      own.length,
      `${sum} ${own[0]?.seen.what ?? ''}`,
      meanwhile.filter(({ told }) => told !== 'unknown' && told.status === 503).length,
      meanwhile.filter(({ told }) => told === 'unknown').length,
    ]);
  }
  return table.toString();
}

/** What the clients asked for and were told, and what became of it. */
export function renderLoad(journal: readonly Entry[], history: readonly Step[]): string {
  const table = newTable(['Requests', 'Sent', 'Done', 'Refused', '503', 'Unanswered']);
  for (const kind of ['book', 'confirm', 'cancel', 'look'] as const) {
    const told = journal.filter(({ ask }) => ask.kind === kind).map((entry) => entry.told);
    const count = (isMeant: (status: number) => boolean): number =>
      told.filter((each) => each !== 'unknown' && isMeant(each.status)).length;
    table.push([
      kind,
      told.length,
      count((status) => status < 300),
      count((status) => status >= 300 && status < 500),
      count((status) => status >= 500),
      told.filter((each) => each === 'unknown').length,
    ]);
  }
  const of = (reason: Step['reason']): number => history.filter((step) => step.reason === reason).length;
  const offers = `${of('offered')} offers, ${of('confirmed')} taken, ${of('declined')} declined, ${of('missed')} missed`;
  return `${table.toString()}\n${history.length} transitions, ${offers}, ${of('conference_started')} ended by a start.`;
}

/** Each rule, and the rows that break it. */
export function renderFindings(findings: readonly Finding[]): string {
  return findings.map(renderFinding).join('\n');
}

function renderFinding({ rule, total, offending }: Finding): string {
  const [first] = offending;
  if (first === undefined) return `✓ ${rule}`;
  const table = newTable(Object.keys(first));
  for (const row of offending) table.push(Object.values(row).map(show));
  const more = total > offending.length ? `\n… and ${total - offending.length} more` : '';
  return `✗ ${rule}: ${total} ${total === 1 ? 'row' : 'rows'}\n${table.toString()}${more}`;
}

function show(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > LONGEST_CELL ? `${text.slice(0, LONGEST_CELL - 1)}…` : text;
}

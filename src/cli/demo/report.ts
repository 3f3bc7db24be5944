import Table from 'cli-table3';
import { type RushPlan } from './plan.js';
import { type RushResult } from './rush.js';

const MOST_LINES = 10;
/** Of the rules seen broken, so many are told. */
const MOST_BROKEN = 10;
const LONGEST_NAME = 40;
const RIGHT = 'right' as const;

/** The tables and sentences of a run, for the terminal. */
export function renderReport(plan: RushPlan, result: RushResult): string {
  const { total, bookingMs } = result;
  const rate = Math.round((1000 * total.booked) / Math.max(1, bookingMs));
  const booked = `${plan.attendees.length} attendees made ${total.booked} bookings in ${seconds(bookingMs)} (${rate}/s).`;
  return [booked, conferenceTable(result), requestTable(result), ...remarks(plan, result)].join('\n');
}

/** Why the run failed, a sentence for each reason; none where every answer and every rule was as it should be. */
export function failures({ statistics, broken }: RushResult): string[] {
  const errors = statistics.errorCount();
  const sentences = broken.slice(0, MOST_BROKEN).map((sentence) => `Rule broken: ${sentence}`);
  if (broken.length > MOST_BROKEN) sentences.push(`Rules broken in ${broken.length - MOST_BROKEN} more places.`);
  if (errors > 0) {
    sentences.push(`${errors} answers were not what the contract foresees, such as:`);
    sentences.push(...statistics.errorExamples().map((example) => `  ${example}`));
  }
  return sentences;
}

function conferenceTable({ tallies, total, standings }: RushResult): string {
  const head = ['Conference', 'Slots', 'Booked', 'Confirmed', 'Waiting', 'Offers', 'Taken', 'Declined', 'Missed'];
  const table = newTable(head);
  const tallyOf = (name: string): typeof total => tallies.get(name) ?? { ...total, booked: 0 };
  const byDemand = standings.toSorted((a, b) => tallyOf(b.name).booked - tallyOf(a.name).booked);
  for (const { name, slots, counts } of byDemand.slice(0, MOST_LINES)) {
    const { booked, offers, taken, declined, missed } = tallyOf(name);
    const standing = [slots, booked, counts.CONFIRMED, counts.WAITLISTED];
    table.push([shorten(name), ...standing, offers, taken, declined, missed]);
  }
  const sum = (pick: (standing: (typeof standings)[number]) => number): number =>
    standings.reduce((so, standing) => so + pick(standing), 0);
  table.push([
    `all ${standings.length}`,
    sum(({ slots }) => slots),
    total.booked,
    sum(({ counts }) => counts.CONFIRMED),
    sum(({ counts }) => counts.WAITLISTED),
    total.offers,
    total.taken,
    total.declined,
    total.missed,
  ]);
  return table.toString();
}

function requestTable({ statistics }: RushResult): string {
  const table = newTable(['Requests', 'Count', 'Refused', 'Busy (503)', 'Errors', 'p50 ms', 'p99 ms']);
  for (const { kind, requests, refused, busy, errors, p50Ms, p99Ms } of statistics.summaries()) {
    table.push([kind, requests, refused, busy, errors, milliseconds(p50Ms), milliseconds(p99Ms)]);
  }
  return table.toString();
}

function remarks(plan: RushPlan, { total }: RushResult): string[] {
  const lines = [
    'Booked and what follows Waiting count this run; Confirmed and Waiting count everybody at the end.',
    'An offer without an end was still open. Refused are overlaps and repetitions tried on purpose, and late confirms.',
  ];
  if (plan.popular.length === 0) {
    lines.push(
      'No conference had fewer free slots than there were attendees, so there was no line: raise --attendees.',
    );
  } else if (total.offers === 0) {
    lines.push('No offer reached an attendee of this run.');
  }
  return lines;
}

function newTable(head: string[]): Table.Table {
  const colAligns = head.map((_, index) => (index === 0 ? 'left' : RIGHT));
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}

function shorten(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}

function milliseconds(value: number | null): string {
  return value === null ? '–' : value.toFixed(1);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

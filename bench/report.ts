import Table from 'cli-table3';
import type { Row } from './rows.js';

const RIGHT = 'right' as const;
const MARKS: Record<Row['verdict'], string> = { met: '✓', missed: '✗', invalid: 'invalid' };

/** A line for each row, with its bar. */
export function renderRows(rows: readonly Row[]): string {
  const table = new Table({
    head: ['What', 'Figure', 'Against', '', 'Ratio', 'Bar', ''],
    colAligns: ['left', RIGHT, 'left', RIGHT, RIGHT, 'left', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    table.push([
      row.what,
      describeValue(row.value, row.unit),
      row.against?.what ?? '',
      row.against === null ? '' : describeValue(row.against.value, row.unit),
      row.ratio === null ? '' : row.ratio.toFixed(2),
      describeBar(row),
      MARKS[row.verdict],
    ]);
  }
  return table.toString();
}

/** What is not as it should be, a sentence each; none when all is well. */
export function failures(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => {
    if (row.verdict === 'met') return [];
    const against = row.against === null ? '' : ` against ${row.against.what}`;
    if (row.verdict === 'missed') return [`${row.what}${against}: misses its bar, ${describeBar(row)}`];
    return [`${row.what}${against}: does not count: ${row.why ?? 'nothing was measured'}`];
  });
}

/** A figure as people read it: three digits that matter, and the unit. */
export function describeValue(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const number = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === '' ? number : unit === 'requests/s' ? `${number}/s` : `${number} ${unit}`;
}

export function describeBar({ bar, ratio, unit }: Row): string {
  const [sign, limit] = 'atLeast' in bar ? ['≥', bar.atLeast] : ['≤', bar.atMost];
  return ratio === null ? `${sign} ${limit} ${unit}`.trimEnd() : `${sign} ${limit} ×`;
}

/** How many times better than its bar a row is; below 1 it misses it. Null where nothing can be divided. */
export function timesBar({ bar, value, ratio }: Row): number | null {
  const times = 'atLeast' in bar ? (ratio ?? value) / bar.atLeast : bar.atMost / value;
  return Number.isFinite(times) ? times : null;
}

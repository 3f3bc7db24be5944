import Table from 'cli-table3';
import type { Finding } from '../../src/cli/audit/audit-database.js';
import { percentile } from '../../src/cli/demo/statistics.js';

/** Something that was measured several times. */
export interface Figure {
  what: string;
  /** ms, least first. */
  values: readonly number[];
  /** Which of the values may not be above what; null: there is no bar. */
  bar: { of: 'p99' | 'max'; ms: number } | null;
  /** The rules of the service that did not hold meanwhile. */
  broken: readonly Finding[];
}

const RIGHT = 'right' as const;

/** Whether its bar, where there is one, and the rules of the service were kept. What was never measured keeps no bar. */
export function isKept(figure: Figure): boolean {
  return figure.broken.length === 0 && keepsBar(figure);
}

function keepsBar({ values, bar }: Figure): boolean {
  if (bar === null) return true;
  const value = bar.of === 'max' ? values.at(-1) : percentile(values, 99);
  return typeof value === 'number' && value <= bar.ms;
}

/** A row for each figure, with its bar. */
export function renderFigures(figures: readonly Figure[]): string {
  const table = new Table({
    head: ['Figure', 'Count', 'p50 ms', 'p99 ms', 'Max ms', 'Bar', ''],
    colAligns: ['left', RIGHT, RIGHT, RIGHT, RIGHT, 'left', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const figure of figures) {
    const { what, values, bar } = figure;
    const shown = [percentile(values, 50), percentile(values, 99), values.at(-1) ?? null].map(milliseconds);
    table.push([
      what,
      values.length,
      ...shown,
      bar === null ? '' : `${bar.of} ≤ ${bar.ms}`,
      isKept(figure) ? '✓' : '✗',
    ]);
  }
  return table.toString();
}

/** Why figures are not as they should be, a sentence each; none when all is well. */
export function failures(figures: readonly Figure[]): string[] {
  return figures.flatMap((figure) => [
    ...(keepsBar(figure) ? [] : [`${figure.what}: misses its bar`]),
    ...figure.broken.map(({ rule, total }) => `${figure.what}: ${total} rows break the rule "${rule}"`),
  ]);
}

function milliseconds(value: number | null): string {
  return value === null ? '–' : value.toFixed(0);
}

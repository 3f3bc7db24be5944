import { describeBar, describeValue, timesBar } from './report.js';
import type { Row } from './rows.js';

const WIDTH = 1_040;
const LINE_HEIGHT = 24;
const TOP = 56;
const BARS_FROM = 480;
const BARS_TO = 840;
/** What is better than this is drawn as long as this. */
const MOST_TIMES = 3;
const COLOURS: Record<Row['verdict'], string> = { met: '#2e7d32', missed: '#c62828', invalid: '#9e9e9e' };

/** The rows as a picture: how far each is beyond its bar, which is the line. */
export function renderChart(rows: readonly Row[], caption: string): string {
  const height = TOP + rows.length * LINE_HEIGHT + 16;
  const barAt = BARS_FROM + (BARS_TO - BARS_FROM) / MOST_TIMES;
  const lines = rows.map((row, index) => renderLine(row, TOP + index * LINE_HEIGHT));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    `  font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="How far each figure is beyond its bar">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="24" font-size="14" font-weight="bold" fill="#212121">How far each figure is beyond its bar</text>`,
    `<text x="16" y="42" fill="#616161">${escapeXml(caption)}</text>`,
    ...lines,
    `<line x1="${barAt}" x2="${barAt}" y1="${TOP - 6}" y2="${height - 12}" stroke="#212121" stroke-dasharray="4 3"/>`,
    '</svg>',
    '',
  ].join('\n');
}

function renderLine(row: Row, y: number): string {
  const times = row.verdict === 'invalid' ? null : timesBar(row);
  // What cannot be divided, none where none may be, is as good as can be.
  const drawn = Math.min(times ?? (row.verdict === 'met' ? MOST_TIMES : 0), MOST_TIMES);
  const width = Math.round((drawn / MOST_TIMES) * (BARS_TO - BARS_FROM));
  const label = row.against === null ? row.what : `${row.what} / ${row.against.what}`;
  const figure =
    row.verdict === 'invalid'
      ? 'does not count'
      : `${row.ratio === null ? describeValue(row.value, row.unit) : `${row.ratio.toFixed(2)} ×`}  (${describeBar(row)})`;
  return [
    `<text x="${BARS_FROM - 8}" y="${y + 15}" text-anchor="end" fill="#212121">${escapeXml(label)}</text>`,
    `<rect x="${BARS_FROM}" y="${y + 3}" width="${width}" height="${LINE_HEIGHT - 8}" fill="${COLOURS[row.verdict]}"/>`,
    `<text x="${BARS_TO + 8}" y="${y + 15}" fill="#424242">${escapeXml(figure)}</text>`,
  ].join('\n');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const PLAIN = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})$/;
const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3})\d*)?)?(Z|[+-]\d{2}:?\d{2})$/;
/** How an instant is written, as a pattern for the API document; not every date that it allows exists. */
export const INSTANT = `${PLAIN.source}|${ISO_8601.source}`;

// What PostgreSQL and ISO 8601 with four digits both can say.
const EARLIEST = Date.parse('0001-01-01T00:00:00.000Z');
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/**
 * Reads `YYYY-MM-DD HH:MM:SS` as UTC, or ISO 8601 with `Z` or an offset, to the millisecond.
 * @returns the instant in milliseconds since 1970; null for any other text, and for a date or time that does not exist
 */
export function parseInstant(text: string): number | null {
  const match = PLAIN.exec(text) ?? ISO_8601.exec(text);
  if (match === null) return null;
  const parts: (string | undefined)[] = match.slice(1, 7);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map((part) => Number(part ?? 0));
  const milliseconds = Number((match[7] ?? '').padEnd(3, '0'));
  const local = new Date(0);
  local.setUTCFullYear(year, month - 1, day);
  local.setUTCHours(hour, minute, second, milliseconds);
  // A date that does not exist rolls over in JavaScript: what comes back is then another one than what was asked for.
  const isReal =
    local.getUTCFullYear() === year &&
    local.getUTCMonth() === month - 1 &&
    local.getUTCDate() === day &&
    local.getUTCHours() === hour &&
    local.getUTCMinutes() === minute &&
    local.getUTCSeconds() === second;
  const offset = offsetMinutes(match[8] ?? 'Z');
  if (!isReal || offset === null) return null;
  const instant = local.getTime() - offset * 60_000;
  return instant < EARLIEST || instant > LATEST ? null : instant;
}

/** Minutes ahead of UTC. */
function offsetMinutes(text: string): number | null {
  if (text === 'Z') return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(-2));
  if (hours > 23 || minutes > 59) return null;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

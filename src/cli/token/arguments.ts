import { USER_ID } from '../../common/text.js';
import { parseTextOptions, UsageError } from '../client-program.js';

export const USAGE = `usage: npm run token -- --sub USER_ID [--role organizer] [--ttl TIME]

Prints a token for trying things out, signed with JWT_SECRET.
  --sub    whose token it is: a user_id
  --role   organizer: may publish conferences, and act for others; without it an attendee
  --ttl    how long it is valid: a number and s, m, h or d, from 1s to 365d; 1h unless told`;

export interface TokenOptions {
  sub: string;
  role: 'organizer' | null;
  ttlSeconds: number;
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const TTL_MOST = 365 * 86_400;

/** @throws UsageError */
export function parseTokenArguments(args: string[]): TokenOptions {
  const { sub, role, ttl } = parseTextOptions(args, ['sub', 'role', 'ttl']);
  if (sub === undefined) throw new UsageError('Say whose token it is with --sub.');
  if (!USER_ID.test(sub)) {
    throw new UsageError(`Give --sub a user_id of 1 to 255 ASCII letters and digits, not "${sub}".`);
  }
  if (role !== undefined && role !== 'organizer') {
    throw new UsageError(`Give --role organizer, or leave it out for an attendee: "${role}" is no role.`);
  }
  return { sub, role: role ?? null, ttlSeconds: parseTtl(ttl ?? '1h') };
}

function parseTtl(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * (SECONDS[unit] ?? NaN);
  if (seconds >= 1 && seconds <= TTL_MOST) return seconds;
  throw new UsageError(`Give --ttl a time from 1s to 365d such as 90s, 15m, 1h or 7d, not "${text}".`);
}

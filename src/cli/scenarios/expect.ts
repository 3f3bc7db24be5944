import { isDeepStrictEqual } from 'node:util';
import { type Answer, describeAnswer } from '../api-client.js';

/** Something was not as the contract says: the message tells what was expected and what was seen. */
export class ExpectationFailed extends Error {}

/** What a field may be, where one fixed value does not say it. */
export interface Matcher {
  description: string;
  matches: (value: unknown) => boolean;
}

export type Fields = Record<string, unknown>;

const UTC_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const LEAKS = /node_modules|\.(?:js|ts):\d+|\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\s+["\w]|violates|constraint/;

export const anInteger: Matcher = { description: 'an integer', matches: (value) => Number.isSafeInteger(value) };
export const aPosition: Matcher = {
  description: 'an integer from 1',
  matches: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
};
export const aBoolean: Matcher = { description: 'true or false', matches: (value) => typeof value === 'boolean' };
export const aSentence: Matcher = {
  description: 'a text that is not empty',
  matches: (value) => typeof value === 'string' && value.trim() !== '',
};
export const aUtcInstant: Matcher = {
  description: 'an instant in ISO 8601 with Z',
  matches: (value) => typeof value === 'string' && UTC_INSTANT.test(value) && !Number.isNaN(Date.parse(value)),
};

/** Throws ExpectationFailed. */
export function fail(what: string, expected: unknown, seen: unknown): never {
  throw new ExpectationFailed(`${what}: expected ${show(expected)}, saw ${show(seen)}`);
}

/** Throws ExpectationFailed unless the two are the same, deeply, or the matcher accepts what was seen. */
export function expectEqual(what: string, seen: unknown, expected: unknown): void {
  const isSo = isMatcher(expected) ? expected.matches(seen) : isDeepStrictEqual(seen, expected);
  if (!isSo) fail(what, isMatcher(expected) ? expected.description : expected, seen);
}

/** Throws ExpectationFailed unless `min <= seen <= max`. */
export function expectBetween(what: string, seen: number, min: number, max: number): void {
  if (!(seen >= min && seen <= max)) fail(what, `from ${min} to ${max}`, seen);
}

/** Throws ExpectationFailed unless `value` is an object with these fields; it may have others. */
export function expectFields(what: string, value: unknown, expected: Fields): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(what, 'a JSON object', value);
  const seen = value as Fields;
  for (const [name, field] of Object.entries(expected)) {
    if (!(name in seen)) fail(what, `the field ${name}`, value);
    expectEqual(`${what}, ${name}`, seen[name], field);
  }
  return seen;
}

/** Throws ExpectationFailed unless the answer is JSON with this status and these fields. */
export function expectAnswer(answer: Answer, status: number, expected: Fields): Fields {
  expectStatus(answer, status);
  return expectFields(answer.request, answer.body, expected);
}

/** As expectAnswer, for an answer that is a list. */
export function expectList(answer: Answer): unknown[] {
  expectStatus(answer, 200);
  if (!Array.isArray(answer.body)) fail(answer.request, 'a JSON array', answer.body);
  return answer.body as unknown[];
}

/**
 * Throws ExpectationFailed unless the answer is an error as the contract wants it: this status (or one of these),
 * a message, a stable code, no stack or SQL, and where `names` is given that word somewhere in it.
 * Answers the code.
 */
export function expectRefusal(
  answer: Answer,
  status: number | number[],
  { message, names }: { message?: string; names?: string } = {},
): string {
  const allowed = typeof status === 'number' ? [status] : status;
  if (!allowed.includes(answer.status)) fail(`${answer.request}, status`, allowed.join(' or '), summary(answer));
  expectJson(answer);
  const body = expectFields(answer.request, answer.body, {
    message: message ?? aSentence,
    code: {
      description: 'a code in UPPER_SNAKE_CASE',
      matches: (value: unknown) => typeof value === 'string' && /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(value),
    },
  });
  const text = JSON.stringify(answer.body);
  if (LEAKS.test(text)) fail(answer.request, 'no stack and no SQL', text);
  if (names !== undefined && !text.includes(names)) fail(answer.request, `an error that names ${names}`, text);
  return String(body.code);
}

/** Does `check` for every case and fails once, with all that failed. Throws ExpectationFailed. */
export async function expectEach<Case>(
  cases: readonly (readonly [title: string, value: Case])[],
  check: (value: Case, title: string) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  for (const [title, value] of cases) {
    try {
      await check(value, title);
    } catch (error) {
      if (!(error instanceof ExpectationFailed)) throw error;
      failures.push(`${title}: ${error.message}`);
    }
  }
  if (failures.length > 0) throw new ExpectationFailed(failures.join('\n'));
}

function expectStatus(answer: Answer, status: number): void {
  if (answer.status !== status) fail(`${answer.request}, status`, status, summary(answer));
  expectJson(answer);
}

function expectJson(answer: Answer): void {
  const type = answer.headers['content-type'] ?? 'none';
  if (!type.startsWith('application/json')) fail(`${answer.request}, content type`, 'application/json', type);
}

function summary(answer: Answer): string {
  return describeAnswer(answer).replace(`${answer.request} → `, '');
}

function isMatcher(value: unknown): value is Matcher {
  return typeof value === 'object' && value !== null && 'matches' in value && typeof value.matches === 'function';
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

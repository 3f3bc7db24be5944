import type { Cause } from '../common/cause.js';
import { type Statement, statement } from '../database/flights.js';
import type { Command, Outcome, Refusal } from './model.js';
import { REFUSALS } from './refusals.js';
import { FIND_KEYS, KEEP_KEYS, TRY_LOCK_KEYS } from './statements.js';

/** An answer as it is sent: kept with its key, it can be repeated byte for byte. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What a request that may be sent again is known by. Keys count per route. */
export interface Idempotency {
  readonly route: string;
  readonly key: string;
  /** The same for the same body. */
  readonly fingerprint: string;
  /** The answer that is to be kept. */
  readonly answerTo: (outcome: Outcome) => Answer;
}

/** A command, what it comes of, where that is known, and the key it came with, where it has one. */
export interface Order {
  readonly command: Command;
  readonly cause?: Cause | null;
  readonly idempotency?: Idempotency;
}

/**
 * What came of a command that has a key. `isReplay`: it was carried out before, and this is the answer of then; `outcome` is
 * null where that was another transaction.
 */
export interface Answered {
  readonly kind: 'answered';
  readonly answer: Answer;
  readonly isReplay: boolean;
  readonly outcome: Outcome | null;
}

/** What is known of an order before it is carried out; null: it is to be carried out. */
export type Claim = Answered | Refused | SameAs | null;
interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
}
/** The order at this index, in the same batch, is the same request. */
interface SameAs {
  readonly kind: 'same';
  readonly as: number;
}

/** A key counts per route. */
interface KeyName {
  route: string;
  key: string;
}

interface KeyRow extends KeyName {
  fingerprint: string;
  status: number;
  body: string;
}

/** Tries to lock the keys of these orders until the end of the transaction, and waits for nobody; null: there are none. */
export function lockKeys(orders: readonly Order[]): Statement<KeyName> | null {
  const keyed = [...keysOf(orders).values()];
  return keyed.length === 0 ? null : statement<KeyName>(TRY_LOCK_KEYS, columns(keyed));
}

/**
 * What was answered to these keys before. A statement of its own: one that locks and reads at once would not see what
 * the last owner of the lock has kept.
 */
export function findKeys(orders: readonly Order[]): Statement<KeyRow> | null {
  const keyed = [...keysOf(orders).values()];
  return keyed.length === 0 ? null : statement<KeyRow>(FIND_KEYS, columns(keyed));
}

/** One claim for each order, by the keys that we could lock, and what was answered to them before. */
export function claimsOf(orders: readonly Order[], ours: readonly KeyName[], answered: readonly KeyRow[]): Claim[] {
  const locked = new Set(ours.map(nameOf));
  const kept = new Map(answered.map((row) => [nameOf(row), row]));
  const first = new Map<string, { index: number; fingerprint: string }>();
  return orders.map(({ idempotency }, index) => {
    if (idempotency === undefined) return null;
    const name = nameOf(idempotency);
    if (!locked.has(name)) return { kind: 'refused', refusal: REFUSALS.idempotencyKeyInUse };
    const before = kept.get(name);
    const known = before ?? first.get(name);
    if (known !== undefined && known.fingerprint !== idempotency.fingerprint) {
      return { kind: 'refused', refusal: REFUSALS.idempotencyKeyReused };
    }
    if (before !== undefined) {
      const answer = { status: before.status, body: before.body };
      return { kind: 'answered', answer, isReplay: true, outcome: null };
    }
    const same = first.get(name);
    if (same !== undefined) return { kind: 'same', as: same.index };
    first.set(name, { index, fingerprint: idempotency.fingerprint });
    return null;
  });
}

/**
 * What came of each order, and the statement that keeps the answers to what was carried out, in the transaction that did
 * it; null: there are none.
 * @param outcomes of the orders without a claim; what is no outcome says why an order was not carried out
 */
export function answersTo<Obstacle extends object | string>(
  orders: readonly Order[],
  claims: readonly Claim[],
  outcomes: readonly (Outcome | Obstacle)[],
): { results: (Outcome | Answered | Obstacle)[]; keep: Statement<never> | null } {
  const kept: { idempotency: Idempotency; answer: Answer }[] = [];
  const results: (Outcome | Answered | Obstacle)[] = [];
  let next = 0;
  orders.forEach(({ idempotency }, index) => {
    const claim = claims[index] ?? null;
    if (claim === null) {
      const outcome = outcomes[next++];
      if (outcome === undefined) throw new Error('An order was not decided');
      if (idempotency === undefined || !isOutcome(outcome)) results.push(outcome);
      else {
        const answer = idempotency.answerTo(outcome);
        kept.push({ idempotency, answer });
        results.push({ kind: 'answered', answer, isReplay: false, outcome });
      }
    } else if (claim.kind === 'same') {
      const same = results[claim.as] as Answered | Obstacle;
      results.push(isAnswered(same) ? { ...same, isReplay: true } : same);
    } else results.push(claim);
  });
  if (kept.length === 0) return { results, keep: null };
  const keep = statement<never>(KEEP_KEYS, [
    ...columns(kept.map(({ idempotency }) => idempotency)),
    kept.map(({ idempotency }) => idempotency.fingerprint),
    kept.map(({ answer }) => answer.status),
    kept.map(({ answer }) => answer.body),
  ]);
  return { results, keep };
}

function isOutcome(result: Outcome | object | string): result is Outcome {
  return typeof result === 'object' && 'kind' in result;
}

function isAnswered(result: object | string): result is Answered {
  return typeof result === 'object' && 'kind' in result && result.kind === 'answered';
}

/** Each key once. */
function keysOf(orders: readonly Order[]): Map<string, Idempotency> {
  return new Map(
    orders.flatMap(({ idempotency }) => (idempotency === undefined ? [] : [[nameOf(idempotency), idempotency]])),
  );
}

function columns(keyed: readonly Idempotency[]): [routes: string[], keys: string[]] {
  return [keyed.map(({ route }) => route), keyed.map(({ key }) => key)];
}

/** A route is one word. */
function nameOf({ route, key }: KeyName): string {
  return `${route} ${key}`;
}

import type { EntityManager } from 'typeorm';
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

/** A command, and the key it came with, where it has one. */
export interface Order {
  readonly command: Command;
  readonly idempotency?: Idempotency;
}

/** What came of a command that has a key. `isReplay`: it was carried out before, and this is the answer of then. */
export interface Answered {
  readonly kind: 'answered';
  readonly answer: Answer;
  readonly isReplay: boolean;
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

interface KeyRow {
  route: string;
  key: string;
  fingerprint: string;
  status: number;
  body: string;
}

/**
 * Tries to lock the keys of these orders until the end of the transaction, and waits for nobody.
 * @returns the names of those that are ours
 */
export async function lockKeys(manager: EntityManager, orders: readonly Order[]): Promise<Set<string>> {
  const keyed = [...keysOf(orders).values()];
  if (keyed.length === 0) return new Set();
  const rows = await manager.query<{ route: string; key: string }[]>(TRY_LOCK_KEYS, columns(keyed));
  return new Set(rows.map(nameOf));
}

/** Locks the keys of these orders, and looks up what was answered to them before: one claim for each order. */
export async function claimKeys(manager: EntityManager, orders: readonly Order[]): Promise<Claim[]> {
  const locked = await lockKeys(manager, orders);
  if (!orders.some(({ idempotency }) => idempotency !== undefined)) return orders.map(() => null);
  const held = [...keysOf(orders).values()].filter((idempotency) => locked.has(nameOf(idempotency)));
  // A statement of its own: one that locks and reads at once would not see what the last owner of the lock has kept.
  const rows = held.length === 0 ? [] : await manager.query<KeyRow[]>(FIND_KEYS, columns(held));
  const kept = new Map(rows.map((row) => [nameOf(row), row]));
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
      return { kind: 'answered', answer: { status: before.status, body: before.body }, isReplay: true };
    }
    const same = first.get(name);
    if (same !== undefined) return { kind: 'same', as: same.index };
    first.set(name, { index, fingerprint: idempotency.fingerprint });
    return null;
  });
}

/**
 * Keeps the answers to what was carried out, in the transaction that did it.
 * @param outcomes of the orders without a claim; what is no outcome says why an order was not carried out
 * @returns what came of each order
 */
export async function keepAnswers<Obstacle extends object | string>(
  manager: EntityManager,
  orders: readonly Order[],
  claims: readonly Claim[],
  outcomes: readonly (Outcome | Obstacle)[],
): Promise<(Outcome | Answered | Obstacle)[]> {
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
        results.push({ kind: 'answered', answer, isReplay: false });
      }
    } else if (claim.kind === 'same') {
      const same = results[claim.as] as Answered | Obstacle;
      results.push(isAnswered(same) ? { ...same, isReplay: true } : same);
    } else results.push(claim);
  });
  if (kept.length > 0) {
    await manager.query(KEEP_KEYS, [
      ...columns(kept.map(({ idempotency }) => idempotency)),
      kept.map(({ idempotency }) => idempotency.fingerprint),
      kept.map(({ answer }) => answer.status),
      kept.map(({ answer }) => answer.body),
    ]);
  }
  return results;
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
function nameOf({ route, key }: { route: string; key: string }): string {
  return `${route} ${key}`;
}

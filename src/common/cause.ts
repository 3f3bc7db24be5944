import { randomUUID } from 'node:crypto';
import type { Span } from './spans.js';

/** Others may name a request: what they call it is repeated in headers, in messages and in the log. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
/** So many requests at most are named where several led to the same. */
const IDS_MOST = 32;
const IDS_LENGTH_MOST = IDS_MOST * 129;

/**
 * What made something happen: a request, a timer that it led to, or the sweep. Whoever goes on with it hands it on, so that
 * all that came of a request bears its id (docs/decisions/0017-the-cause-is-handed-on.md).
 */
export class Cause {
  /** @param requestIds more than one where requests of one transaction share a timer */
  constructor(
    readonly requestIds: readonly [string, ...string[]],
    readonly span: Span | null,
  ) {}

  /** The first of several requests names them all, and the others are named beside it, 32 in all. */
  static of(causes: readonly [Cause, ...Cause[]]): Cause {
    const [first, ...others] = causes;
    if (others.length === 0) return first;
    const [id, ...more] = first.requestIds;
    const rest = new Set([...more, ...others.flatMap(({ requestIds }) => requestIds)]);
    rest.delete(id);
    return new Cause([id, ...[...rest].slice(0, IDS_MOST - 1)], first.span);
  }

  /** The same, seen from a part of it. */
  within(span: Span): Cause {
    return new Cause(this.requestIds, span);
  }
}

/** The id that a request came with, or a new one where it has none that may be repeated. */
export function requestIdFrom(given: unknown): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** The ids that a message came with, as {@link idsToText} wrote them; what may not be repeated is left out. */
export function requestIdsFrom(given: unknown): readonly [string, ...string[]] {
  const texts = typeof given === 'string' && given.length <= IDS_LENGTH_MOST ? given.split(',') : [];
  const [first = randomUUID(), ...rest] = texts.filter((text) => REQUEST_ID.test(text));
  return [first, ...rest.slice(0, IDS_MOST - 1)];
}

export function idsToText({ requestIds }: Cause): string {
  return requestIds.join(',');
}

import { createHash } from 'node:crypto';
import transliterate from '@sindresorhus/transliterate';
import { PLAIN_TEXT_MAX } from '../../common/text.js';

/** Digits of the hash behind a name that is not free, and the next ones to try. */
const SUFFIX_LENGTHS = [6, 12, 24];

/** 1–255 ASCII letters, digits and single inner spaces, or null where a text has no letter or digit of any script. */
export function toPlainName(text: string): string | null {
  const words = transliterate(text)
    .normalize('NFKD')
    .replace(/['’‘ʼ`\p{Mark}]/gu, '')
    .replaceAll('&', ' and ')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .trim();
  return words === '' ? null : words.slice(0, PLAIN_TEXT_MAX).trimEnd();
}

/**
 * The names an event may have, best first: its title's, then the same with ever longer parts of a hash of its key. They
 * depend on nothing else, neither on the other events nor on what was imported before.
 * @returns none for a title without any letter or digit
 */
export function namesFor(title: string, key: string): string[] {
  if (!/[\p{Letter}\p{Number}]/u.test(title)) return [];
  const hash = createHash('sha256').update(key).digest('hex');
  const plain = toPlainName(title);
  const suffixed = SUFFIX_LENGTHS.map((length) => withSuffix(plain ?? 'Event', hash.slice(0, length)));
  // A title in a script that cannot be transliterated is a title all the same.
  return plain === null ? suffixed : [plain, ...suffixed];
}

/**
 * For every key the first of its names that nothing in `taken` and no other key has. Where two would clash both go on to
 * their next names, so that the order of the events decides nothing.
 * @returns null for a key whose names are all taken
 */
export function chooseNames(
  wishes: ReadonlyMap<string, readonly string[]>,
  taken: ReadonlySet<string>,
): Map<string, string | null> {
  const attempts = new Map([...wishes.keys()].map((key) => [key, 0]));
  const nameOf = (key: string): string | null => wishes.get(key)?.[attempts.get(key) ?? 0] ?? null;
  for (;;) {
    const uses = new Map<string, number>();
    for (const key of wishes.keys()) {
      const name = nameOf(key);
      if (name !== null) uses.set(name, (uses.get(name) ?? 0) + 1);
    }
    const clashing = [...wishes.keys()].filter((key) => {
      const name = nameOf(key);
      return name !== null && (taken.has(name) || (uses.get(name) ?? 0) > 1);
    });
    if (clashing.length === 0) return new Map([...wishes.keys()].map((key) => [key, nameOf(key)]));
    for (const key of clashing) attempts.set(key, (attempts.get(key) ?? 0) + 1);
  }
}

function withSuffix(name: string, suffix: string): string {
  return `${name.slice(0, PLAIN_TEXT_MAX - suffix.length - 1).trimEnd()} ${suffix}`;
}

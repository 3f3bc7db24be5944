import { DEFAULT_URL, parseServiceUrl, parseTextOptions, parseWholeNumber } from '../client-program.js';

export interface DemoOptions {
  url: URL;
  /** 1 to 5000. */
  attendees: number;
  /** 0 to 4,294,967,295. */
  seed: number;
}

export const USAGE = `Usage: npm run demo -- [--url ${DEFAULT_URL}] [--attendees 500] [--seed N]

Plays a rush on the conferences of a running service: attendees book what fits their interests, crowd on popular
conferences, wait, cancel, and take or miss their offers. Fails when a rule is seen broken.

  --url        where the service listens (default ${DEFAULT_URL})
  --attendees  how many take part, from 1 to 5000 (default 500)
  --seed       a whole number that makes the plan repeat (default: another one each time; it is printed)
  --help       this text`;

const MOST_ATTENDEES = 5000;
const LARGEST_SEED = 2 ** 32 - 1;

/** Throws UsageError. */
export function parseDemoArguments(args: string[]): DemoOptions {
  const { url, attendees, seed } = parseTextOptions(args, ['url', 'attendees', 'seed']);
  return {
    url: parseServiceUrl(url ?? DEFAULT_URL),
    attendees: parseWholeNumber('attendees', attendees ?? '500', 1, MOST_ATTENDEES),
    seed:
      seed === undefined
        ? Math.floor(Math.random() * (LARGEST_SEED + 1))
        : parseWholeNumber('seed', seed, 0, LARGEST_SEED),
  };
}

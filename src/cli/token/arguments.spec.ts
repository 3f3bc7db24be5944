import { UsageError } from '../client-program.js';
import { parseTokenArguments } from './arguments.js';

describe('the arguments of the token command', () => {
  it('have defaults', () => {
    expect(parseTokenArguments(['--sub', 'ada1'])).toEqual({ sub: 'ada1', role: null, ttlSeconds: 3_600 });
    expect(parseTokenArguments(['--sub=ada1', '--role=organizer', '--ttl=2d'])).toEqual({
      sub: 'ada1',
      role: 'organizer',
      ttlSeconds: 172_800,
    });
  });

  it.each([
    [[], 'Say whose token it is with --sub.'],
    [['--sub', 'a b'], 'Give --sub a user_id of 1 to 255 ASCII letters and digits, not "a b".'],
    [['--sub', 'ada1', '--role', 'boss'], 'Give --role organizer, or leave it out for an attendee: "boss" is no role.'],
    ...['0s', '1', 's', '1.5h', '366d', '-1h', '1w'].map((ttl) => [
      ['--sub', 'ada1', `--ttl=${ttl}`],
      `Give --ttl a time from 1s to 365d such as 90s, 15m, 1h or 7d, not "${ttl}".`,
    ]),
  ] as [string[], string][])('of %j are refused', (args, sentence) => {
    expect(() => parseTokenArguments(args)).toThrow(new UsageError(sentence));
  });
});

import { AppError } from '../common/app-error.js';
import { type Policy, refusalOf } from './access.js';
import { ANYBODY, type Caller } from './caller.js';

const stranger: Caller = {
  kind: 'unknown',
  reason: new AppError('unauthenticated', 'TOKEN_MISSING', 'Say who you are'),
};
const ada: Caller = { kind: 'attendee', userId: 'ada1' };
const cleo: Caller = { kind: 'organizer', userId: 'cleo9' };

describe('a policy', () => {
  it.each<[Policy, Caller, string | undefined, string | null]>([
    ['open', stranger, undefined, null],
    ['signed in', stranger, undefined, 'TOKEN_MISSING'],
    ['signed in', ada, undefined, null],
    ['signed in', cleo, undefined, null],
    ['own user', stranger, 'ada1', 'TOKEN_MISSING'],
    ['own user', ada, 'ada1', null],
    ['own user', ada, 'ADA1', 'NOT_YOUR_USER_ID'],
    ['own user', ada, 'bob2', 'NOT_YOUR_USER_ID'],
    ['own user', ada, undefined, null],
    ['own user', cleo, 'ada1', 'NOT_YOUR_USER_ID'],
    ['own user', cleo, 'cleo9', null],
    ['own user, or organizers', stranger, 'ada1', 'TOKEN_MISSING'],
    ['own user, or organizers', ada, 'ada1', null],
    ['own user, or organizers', ada, 'bob2', 'NOT_YOUR_USER_ID'],
    ['own user, or organizers', cleo, 'ada1', null],
    ['organizers', stranger, undefined, 'TOKEN_MISSING'],
    ['organizers', ada, undefined, 'ORGANIZERS_ONLY'],
    ['organizers', ada, 'ada1', 'ORGANIZERS_ONLY'],
    ['organizers', cleo, undefined, null],
    ...(['open', 'signed in', 'own user', 'own user, or organizers', 'organizers'] as const).map(
      (policy): [Policy, Caller, string, null] => [policy, ANYBODY, 'ada1', null],
    ),
  ])('"%s" tells %j, who names %s: %s', (policy, caller, userId, code) => {
    expect(refusalOf(policy, caller, userId)?.code ?? null).toBe(code);
  });

  it.each<Caller>([ANYBODY, stranger, ada, cleo])('lets %j nowhere that declares none', (caller) => {
    expect(refusalOf(undefined, caller, undefined)?.kind).toBe('forbidden');
  });
});

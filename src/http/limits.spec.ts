import { fastify, type FastifyInstance } from 'fastify';
import type { Caller } from '../access/caller.js';
import { AppError } from '../common/app-error.js';
import { limitRequests } from './limits.js';
import { goByTurns } from './turns.js';

const NOBODY: Caller = { kind: 'unknown', reason: new AppError('unauthenticated', 'NO_TOKEN', 'There is no token') };

describe('requests of a caller', () => {
  let app: FastifyInstance;
  let caller: Caller;

  beforeEach(async () => {
    app = fastify();
    app.addHook('onRequest', ({ headers, raw }, _reply, done) => {
      if ('gone' in headers) Object.defineProperty(raw.socket, 'remoteAddress', { value: undefined });
      done();
    });
    app.decorateRequest('caller', { getter: () => caller });
    await limitRequests(app, 1);
    app.get('/', () => 'served');
  });
  afterEach(() => app.close());

  const ask = async (who: Caller, remoteAddress: string): Promise<boolean> => {
    caller = who;
    return (await app.inject({ url: '/', remoteAddress })).statusCode === 200;
  };

  it('are those of a user, wherever they come from and whatever they may do', async () => {
    expect(await ask({ kind: 'attendee', userId: 'ada1' }, '203.0.113.1')).toBe(true);
    expect(await ask({ kind: 'attendee', userId: 'ada1' }, '203.0.113.2')).toBe(false);
    expect(await ask({ kind: 'organizer', userId: 'ada1' }, '203.0.113.3')).toBe(false);
    expect(await ask({ kind: 'attendee', userId: 'bob2' }, '203.0.113.1')).toBe(true);
  });

  it('are those of an address where nobody knows who it is', async () => {
    expect(await ask(NOBODY, '203.0.113.1')).toBe(true);
    expect(await ask(NOBODY, '203.0.113.1')).toBe(false);
    expect(await ask({ kind: 'anybody' }, '203.0.113.1')).toBe(false);
    expect(await ask(NOBODY, '203.0.113.2')).toBe(true);
  });

  it('count one by one where they come at once', async () => {
    const most = fastify();
    most.decorateRequest('caller', { getter: () => NOBODY });
    goByTurns(most);
    await limitRequests(most, 3);
    most.get('/', () => 'served');
    const answers = await Promise.all(Array.from({ length: 5 }, () => most.inject('/')));
    expect(answers.map(({ statusCode, headers }) => [statusCode === 200, headers['ratelimit-remaining']])).toEqual([
      [true, '2'],
      [true, '1'],
      [true, '0'],
      [false, '0'],
      [false, '0'],
    ]);
    await most.close();
  });

  it('are no mistake where whoever sent one has hung up, and left no address', async () => {
    caller = NOBODY;
    const { statusCode } = await app.inject({ url: '/', headers: { gone: 'yes' } });
    expect(statusCode).toBe(200);
  });

  it('are remembered of the last 10,000 callers, also where more addresses than that are known', async () => {
    const address = (count: number): string => `10.0.${count >> 8}.${count & 255}`;
    for (let count = 0; count < 10_001; count++) expect(await ask(NOBODY, address(count))).toBe(true);
    expect(await ask(NOBODY, address(10_000))).toBe(false);
    expect(await ask(NOBODY, address(1))).toBe(false);
    expect(await ask(NOBODY, address(0))).toBe(true);
  });
});

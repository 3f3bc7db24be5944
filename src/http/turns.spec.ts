import Fastify, { type FastifyInstance } from 'fastify';
import { goByTurns } from './turns.js';

/** What happens to requests, in order. */
let events: string[];
let fastify: FastifyInstance;

beforeEach(async () => {
  events = [];
  fastify = Fastify();
  fastify.addHook('onRequest', (request, _reply, done) => {
    events.push(`${request.url} came`);
    done();
  });
  goByTurns(fastify);
  fastify.get('/:name', ({ url }) => {
    events.push(`${url} went on`);
    if (url === '/bad') throw new Error('Bad');
    return {};
  });
  await fastify.ready();
});
afterEach(() => fastify.close());

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

describe('requests that go by turns', () => {
  it('go on together, in their order, when all of a turn have come', async () => {
    await Promise.all(['/a', '/bad', '/c'].map((url) => fastify.inject(url)));
    expect(events).toEqual(['/a came', '/bad came', '/c came', '/a went on', '/bad went on', '/c went on']);
  });

  it('go on before all have come where they are very many', async () => {
    await Promise.all(Array.from({ length: 300 }, () => fastify.inject('/a')));
    const went = events.flatMap((event, index) => (event.endsWith('went on') ? [index] : []));
    expect(went).toEqual([...range(256, 512), ...range(556, 600)]);
  });

  it('wait for no other', async () => {
    expect((await fastify.inject('/a')).statusCode).toBe(200);
    expect((await fastify.inject('/b')).statusCode).toBe(200);
    expect(events).toEqual(['/a came', '/a went on', '/b came', '/b went on']);
  });

  it('fail each for itself', async () => {
    const answers = await Promise.all(['/bad', '/b', '/bad', '/d'].map((url) => fastify.inject(url)));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([500, 200, 500, 200]);
  });
});

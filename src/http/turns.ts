import type { FastifyInstance } from 'fastify';

/** So many go on together at most: who sends one request after the other without waiting is not read without end. */
const TOGETHER_MOST = 256;

/**
 * Holds requests back until all that has come in one turn of the event loop has been read, and lets them go on together.
 * The same step of many requests in a row finds its code and its data in the processor's caches, and what they ask of
 * the database meets in fewer statements. Whoever comes alone waits for nobody.
 *
 * They all go on in the async context of the first of them: a context of one's own begins after this.
 */
export function goByTurns(fastify: FastifyInstance): void {
  let waiting: (() => void)[] = [];
  const goOn = (): void => {
    const all = waiting;
    waiting = [];
    for (const done of all) done();
  };
  fastify.addHook('onRequest', (_request, _reply, done) => {
    const count = waiting.push(done);
    if (count === 1) setImmediate(goOn);
    if (count === TOGETHER_MOST) goOn();
  });
}

import type { FastifyInstance } from 'fastify';

/**
 * Holds requests back until all that has come in one turn of the event loop has been read, and lets them go on together.
 * The same step of many requests in a row finds its code and its data in the processor's caches, and what they ask of
 * the database meets in fewer statements. Whoever comes alone waits for nobody.
 */
export function goByTurns(fastify: FastifyInstance): void {
  let waiting: (() => void)[] = [];
  const goOn = (): void => {
    const all = waiting;
    waiting = [];
    for (const done of all) done();
  };
  fastify.addHook('onRequest', (_request, _reply, done) => {
    if (waiting.push(done) === 1) setImmediate(goOn);
  });
}

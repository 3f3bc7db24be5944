import { Together } from './together.js';

/** As the driver tells what a server refused. */
const refusal = (code: string): Error => Object.assign(new Error(`refused with ${code}`), { code });

describe('wishes that are carried out together', () => {
  afterEach(() => jest.restoreAllMocks());

  /** Statements that are answered when the test says so. */
  function stage(most = 3): {
    together: Together<number, number>;
    sent: number[][];
    /** Answers the last statement with ten times each wish, or has it fail. */
    answer: (error?: Error) => void;
  } {
    const sent: number[][] = [];
    let answer: (error?: Error) => void = () => undefined;
    const carryOut = (wishes: number[]): Promise<number[]> =>
      new Promise((resolve, reject) => {
        sent.push(wishes);
        answer = (error) => (error === undefined ? resolve(wishes.map((wish) => wish * 10)) : reject(error));
      });
    return { together: new Together(carryOut, most), sent, answer: (error) => answer(error) };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

  it('share a statement where they come in one turn, and else the next one, at most so many', async () => {
    const { together, sent, answer } = stage();
    const asked = [together.ask(1)];
    await Promise.resolve();
    asked.push(together.ask(2));
    await turn();
    expect(sent).toEqual([[1, 2]]);
    asked.push(...[3, 4, 5, 6].map((wish) => together.ask(wish)));
    await turn();
    expect(sent).toHaveLength(1);
    for (let statement = 0; statement < 3; statement++) {
      answer();
      await turn();
    }
    expect(sent).toEqual([[1, 2], [3, 4, 5], [6]]);
    expect(await Promise.all(asked)).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it('are tried alone where the server refuses one of them', async () => {
    const { together, sent, answer } = stage();
    const asked = Promise.allSettled([1, 2].map((wish) => together.ask(wish)));
    await turn();
    answer(refusal('23514'));
    await turn();
    answer(refusal('23514'));
    await turn();
    answer();
    expect((await asked).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(sent).toEqual([[1, 2], [1], [2]]);
  });

  it.each([
    ['a statement that took too long', refusal('57014')],
    ['a server that goes away', refusal('57P01')],
    ['a connection that is lost', new Error('Connection terminated unexpectedly')],
  ])('fail together with %s', async (_what, error) => {
    const { together, sent, answer } = stage();
    const asked = Promise.allSettled([1, 2].map((wish) => together.ask(wish)));
    await turn();
    answer(error);
    expect(await asked).toEqual([1, 2].map(() => ({ status: 'rejected', reason: error })));
    expect(sent).toEqual([[1, 2]]);
  });

  it('are never begun where they have waited for 5 s', async () => {
    const { together, sent, answer } = stage();
    const now = jest.spyOn(performance, 'now').mockReturnValue(1_000);
    const first = together.ask(1);
    await turn();
    const late = together.ask(2);
    now.mockReturnValue(6_000);
    const inTime = together.ask(3);
    now.mockReturnValue(6_001);
    answer();
    await expect(late).rejects.toMatchObject({ code: 'TIMED_OUT' });
    await turn();
    answer();
    expect([await first, await inTime, sent]).toEqual([10, 30, [[1], [3]]]);
  });

  it('are refused where 10,000 wait', async () => {
    const { together } = stage();
    const asked = Array.from({ length: 10_001 }, (_, wish) => together.ask(wish));
    await expect(asked.at(-1)).rejects.toMatchObject({ code: 'OVERLOADED' });
  });
});

import { overloaded, timedOut } from '../common/app-error.js';
import { Batch, Lane, Slots, type Waiting } from './lane.js';

const waiting = (bookingId: number): Waiting => ({
  command: { kind: 'cancel', bookingId, userId: null },
  since: 0,
  resolve: () => undefined,
  reject: () => undefined,
});
const idsOf = (commands: readonly Waiting[]): number[] =>
  commands.map(({ command }) => ('bookingId' in command ? command.bookingId : 0));

const lineOf = (line: Waiting[]): Pick<Lane, 'peek' | 'take'> => ({
  peek: (most) => line.slice(0, most),
  take: (most) => line.splice(0, most),
});

describe('a batch', () => {
  it('takes once, however often it is asked', () => {
    const line = [1, 2, 3, 4, 5].map(waiting);
    const taken: Waiting[] = [];
    const batch = new Batch(lineOf(line), 3, (each) => taken.push(each));
    expect([batch.isTaken, batch.taken]).toEqual([false, []]);
    expect(idsOf(batch.peek())).toEqual([1, 2, 3]);
    expect(idsOf(batch.take())).toEqual([1, 2, 3]);
    expect(idsOf(batch.take())).toEqual([1, 2, 3]);
    expect(idsOf(batch.peek())).toEqual([1, 2, 3]);
    expect(taken).toHaveLength(3);
    expect(line).toHaveLength(2);
  });

  it('that is split stays taken, in the same order: no part of it can be forgotten', () => {
    const batch = new Batch(lineOf([1, 2, 3].map(waiting)), 3, () => undefined);
    batch.take();
    const [first, second] = batch.split();
    expect([first.isTaken, second.isTaken]).toEqual([true, true]);
    expect([idsOf(first.take()), idsOf(second.take())]).toEqual([[1, 2], [3]]);
  });
});

describe('a lane', () => {
  it('shows who is first, and keeps them', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const lane = new Lane(async (own) => {
      await held;
      own.take(9);
    });
    lane.add(...[1, 2, 3].map(waiting));
    expect(idsOf(lane.peek(2))).toEqual([1, 2]);
    expect(lane.length).toBe(3);
    release();
    await lane.idle();
    expect(lane.peek(2)).toEqual([]);
  });

  it('gives up its first ones as far as they are wanted, and nobody behind them', async () => {
    const lane = new Lane((own) => Promise.resolve(void own.take(9)));
    lane.add(...[1, 2, 9, 3].map(waiting));
    const isSmall = ({ command }: Waiting): boolean => 'bookingId' in command && command.bookingId < 5;
    expect(idsOf(lane.takeWhile(isSmall))).toEqual([1, 2]);
    expect(idsOf(lane.takeWhile(isSmall))).toEqual([]);
    expect(idsOf(lane.takeWhile(() => true))).toEqual([9, 3]);
    expect([lane.length, lane.isIdle]).toEqual([0, false]);
    await lane.idle();
    expect(lane.isIdle).toBe(true);
  });

  it('serves whoever arrives in one turn of the event loop together', async () => {
    const served: number[][] = [];
    const lane = new Lane((own) => Promise.resolve(void served.push(idsOf(own.take(9)))));
    lane.add(waiting(1));
    // Later in the same turn, as the requests are that were read together.
    await Promise.resolve();
    lane.add(waiting(2));
    await lane.idle();
    expect(served).toEqual([[1, 2]]);
  });

  it('serves batch after batch, whoever joins meanwhile included, and then rests', async () => {
    const served: number[][] = [];
    let isIdle = false;
    const lane = new Lane(
      async (own) => {
        const batch = own.take(2);
        if (served.length === 0) own.add(waiting(9));
        served.push(idsOf(batch));
        await Promise.resolve();
      },
      () => (isIdle = true),
    );
    lane.add(waiting(1), waiting(2), waiting(3));
    await lane.idle();
    expect(served).toEqual([
      [1, 2],
      [3, 9],
    ]);
    expect(isIdle).toBe(true);
  });
});

describe('what a lane gives up', () => {
  const at = (since: number, kind: 'request' | 'timer'): Waiting => ({
    ...waiting(since),
    since,
    ...(kind === 'timer' ? { command: { kind: 'expire', conferenceId: since } } : {}),
  });
  const sinceOf = (commands: readonly Waiting[]): number[] => commands.map(({ since }) => since);

  it('is requests that wait too long, and timers only when these are asked for; the others stay in line', async () => {
    const served: number[] = [];
    const lane = new Lane((own) => {
      served.push(...sinceOf(own.take(9)));
      return Promise.resolve();
    });
    lane.add(at(1, 'timer'), at(2, 'request'), at(3, 'request'), at(4, 'timer'), at(5, 'request'));
    expect(lane.length).toBe(5);
    expect(sinceOf(lane.takeRequestsOlderThan(2))).toEqual([]);
    expect(sinceOf(lane.takeRequestsOlderThan(5))).toEqual([2, 3]);
    expect(sinceOf(lane.takeTimers())).toEqual([1, 4]);
    expect(lane.length).toBe(1);
    await lane.idle();
    expect([served, lane.length]).toEqual([[5], 0]);
  });

  it('is told that nothing was done', () => {
    expect(timedOut()).toMatchObject({
      kind: 'unavailable',
      code: 'TIMED_OUT',
      message: 'The request waited too long and was not begun: nothing was done, try again',
    });
    expect(overloaded()).toMatchObject({
      kind: 'unavailable',
      code: 'OVERLOADED',
      message: 'Too many requests are waiting: nothing was done, try again shortly',
    });
  });
});

describe('slots', () => {
  it('let so many work at once, and the others in order', async () => {
    const slots = new Slots(2);
    const log: string[] = [];
    const ends: (() => void)[] = [];
    const work = (name: string): Promise<void> =>
      slots.run(async () => {
        log.push(name);
        await new Promise<void>((end) => ends.push(end));
      });
    const all = ['a', 'b', 'c', 'd'].map(work);
    expect(log).toEqual(['a', 'b']);
    for (let ended = 0; ended < 4; ended++) {
      ends[ended]?.();
      await all[ended];
    }
    expect(log).toEqual(['a', 'b', 'c', 'd']);
    // All of them are free again, and no more than there were.
    void ['e', 'f', 'g'].map(work);
    expect(log.slice(4)).toEqual(['e', 'f']);
  });
});

import { parseChaosArguments } from './arguments.js';
import { FAULT_KINDS, LANES, planConferences, planFaults, traitsOf } from './plan.js';

const OPTIONS = { seconds: 60, faults: 20, seed: 7 };

describe('the plan of faults', () => {
  it('is the same for the same seed, and another for another one', () => {
    expect(planFaults(OPTIONS)).toEqual(planFaults(OPTIONS));
    expect(planFaults({ ...OPTIONS, seed: 8 })).not.toEqual(planFaults(OPTIONS));
  });

  it.each([1, 19, 20, 100])(
    'has %i faults where so many are asked for, every kind before one comes again',
    (faults) => {
      const kinds = planFaults({ ...OPTIONS, faults }).map(({ kind }) => kind);
      expect(kinds).toHaveLength(faults);
      const counts = FAULT_KINDS.map((kind) => kinds.filter((each) => each === kind).length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    },
  );

  it('is in order of time, within the load, and befalls only whom it may', () => {
    for (let seed = 0; seed < 100; seed++) {
      const plan = planFaults({ ...OPTIONS, seed });
      const times = plan.map(({ atMs }) => atMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times[0]).toBeGreaterThan(0);
      expect(times.at(-1)).toBeLessThan(60_000);
      for (const { kind, instance, lastsMs, delayMs } of plan) {
        const { befalls, lastsMs: bounds } = traitsOf(kind);
        expect(befalls.length === 0 ? instance === null : befalls.some((name) => name === instance)).toBe(true);
        expect(lastsMs).toBeGreaterThanOrEqual(bounds[0]);
        expect(lastsMs).toBeLessThanOrEqual(bounds[1]);
        expect(delayMs > 0).toBe(kind.endsWith('delayed'));
      }
      expect(new Set(plan.map(({ kind }) => traitsOf(kind).lane))).toEqual(new Set(LANES));
    }
  });

  it('has conferences with few slots, and some that start while the load runs', () => {
    const conferences = planConferences(OPTIONS);
    expect(planConferences(OPTIONS)).toEqual(conferences);
    expect(conferences.filter(({ startsInMs }) => startsInMs < 60_000)).toHaveLength(3);
    for (const { slots, startsInMs } of conferences) {
      expect(slots).toBeGreaterThanOrEqual(1);
      expect(slots).toBeLessThanOrEqual(5);
      // Nothing can be added that starts at once.
      expect(startsInMs).toBeGreaterThan(2_000);
    }
  });
});

describe('the arguments', () => {
  it('are 60 s, 20 faults and any seed unless told', () => {
    expect(parseChaosArguments([])).toMatchObject({ seconds: 60, faults: 20 });
    expect(parseChaosArguments(['--seconds', '10', '--faults', '1', '--seed', '5'])).toEqual({
      seconds: 10,
      faults: 1,
      seed: 5,
    });
  });

  it.each([
    [['--seconds', '9'], 'Give --seconds a whole number from 10 to 3600, not "9".'],
    [['--faults', '0'], 'Give --faults a whole number from 1 to 1000, not "0".'],
    [['--seed', 'x'], 'Give --seed a whole number from 0 to 4294967295, not "x".'],
    [['--what'], "Unknown option '--what': give the options as below."],
  ])('%p are refused', (args, message) => {
    expect(() => parseChaosArguments(args)).toThrow(message);
  });
});

import { Tallies } from './tallies.js';

describe('Tallies', () => {
  it('counts by conference and in total, and learns the confirmation window', () => {
    const tallies = new Tallies();
    tallies.of('A').booked += 2;
    tallies.offerSeen('A', Date.now() + 1500);
    tallies.offerEnded('A', 'missed');
    tallies.offerSeen('B', Date.now() + 2000);
    tallies.offerEnded('B', 'taken');
    expect(tallies.of('A')).toEqual({ booked: 2, offers: 1, taken: 0, declined: 0, missed: 1 });
    expect(tallies.total()).toEqual({ booked: 2, offers: 2, taken: 1, declined: 0, missed: 1 });
    expect(tallies.windowMs).toBeGreaterThan(1900);
    expect(tallies.windowMs).toBeLessThanOrEqual(2000);
  });
});

import { TRANSITION_REASONS, type TransitionReason } from '../seating/model.js';
import { type Step, tellHistory } from './history.js';

const at = (time: string): Date => new Date(`2036-01-15T${time}.250Z`);
const step = (reason: TransitionReason, cause: Step['cause'] = null, time = '10:15:30'): Step => ({
  reason,
  cause,
  organizerId: null,
  at: at(time),
});
const told = (...steps: Step[]): string => tellHistory(7, steps).at(-1) ?? '';

describe('the history of a booking', () => {
  it.each<[TransitionReason, string]>([
    ['booked', 'confirmed: a slot was free'],
    ['joined_waitlist', 'to the end of the line: no slot was free'],
    ['canceled', 'canceled: as was asked for'],
    ['conference_started', 'canceled: the conference started'],
  ])('tells that it was %s', (reason, sentence) => {
    expect(told(step(reason))).toBe(sentence);
  });

  it.each<[TransitionReason, string]>([
    ['confirmed', 'confirmed: the offer of 10:15:30 was taken'],
    ['missed', 'to the end of the line: the offer of 10:15:30 was not taken'],
    ['missed_too_often', 'canceled: the offer of 10:15:30 was not taken, like those before it'],
    ['declined', 'canceled: the offer of 10:15:30 was declined'],
  ])('names the offer that was %s: the last one before', (reason, sentence) => {
    const first = step('offered', null, '09:00:00');
    expect(told(first, step('missed', null, '09:00:10'), step('offered'), step(reason, null, '10:15:40'))).toBe(
      sentence,
    );
    expect(told(step(reason))).toBe(sentence.replace(' of 10:15:30', ''));
  });

  it.each<[Step['cause'], string]>([
    [{ bookingId: 12, reason: 'canceled' }, 'offered: a slot became free when booking 12 was canceled'],
    [{ bookingId: 12, reason: 'declined' }, 'offered: a slot became free when booking 12 declined its offer'],
    [{ bookingId: 12, reason: 'missed' }, 'offered: a slot became free when booking 12 did not take its offer'],
    [
      { bookingId: 12, reason: 'missed_too_often' },
      'offered: a slot became free when booking 12 did not take its offer',
    ],
    [{ bookingId: 12, reason: null }, 'offered: a slot became free when booking 12 was canceled'],
    [{ bookingId: 7, reason: 'missed' }, 'offered: nobody else was waiting'],
    [null, 'offered: a slot became free'],
  ])('tells whose slot was offered: %j', (cause, sentence) => {
    expect(told(step('offered', cause))).toBe(sentence);
  });

  it('has a sentence for every reason', () => {
    expect(
      tellHistory(
        7,
        TRANSITION_REASONS.map((reason) => step(reason)),
      ).every((each) => /^[a-z ]+: ./.test(each)),
    ).toBe(true);
  });
});

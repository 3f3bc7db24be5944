import { TimerDeserializer, UNKNOWN_PATTERN } from './timer.deserializer.js';
import { CONFIRMATION_EXPIRED } from './timers.js';

describe('TimerDeserializer', () => {
  const deserializer = new TimerDeserializer();

  it('passes an event on, and makes an event of a request', () => {
    const event = { pattern: CONFIRMATION_EXPIRED, data: { conference_id: 7 } };
    expect(deserializer.deserialize(event)).toEqual(event);
    expect(deserializer.deserialize({ ...event, id: 'answer me' })).toEqual(event);
    expect(deserializer.deserialize({ pattern: CONFIRMATION_EXPIRED })).toEqual({ ...event, data: undefined });
  });

  it.each([
    null,
    undefined,
    '',
    'no JSON {',
    17,
    true,
    [],
    [{ pattern: CONFIRMATION_EXPIRED }],
    {},
    { pattern: 5 },
    { pattern: null },
    { pattern: { cmd: 'x' } },
    { pattern: [CONFIRMATION_EXPIRED] },
    { pattern: `"${CONFIRMATION_EXPIRED}"` },
    { pattern: '['.repeat(100_000) },
    { data: { conference_id: 7 } },
  ])('makes an event without a handler of %j', (value) => {
    expect(deserializer.deserialize(value)).toEqual({ pattern: UNKNOWN_PATTERN, data: undefined });
  });
});

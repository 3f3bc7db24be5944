import { type Answer } from '../api-client.js';
import {
  anInteger,
  expectAnswer,
  expectBetween,
  expectEach,
  expectEqual,
  expectRefusal,
  ExpectationFailed,
  fail,
} from './expect.js';

function answer(status: number, body: unknown, type = 'application/json; charset=utf-8'): Answer {
  return { request: 'POST /book', status, headers: { 'content-type': type }, body, durationMs: 1 };
}

describe('expectAnswer', () => {
  it('takes more fields than are asked for', () => {
    const body = { booking_id: 5, waitlist_position: null, more: true };
    expect(expectAnswer(answer(201, body), 201, { booking_id: anInteger, waitlist_position: null })).toBe(body);
  });

  it.each([
    [answer(200, { booking_id: 5 }), 'POST /book, status: expected 201, saw 200 {"booking_id":5}'],
    [answer(201, { booking_id: '5' }), 'POST /book, booking_id: expected an integer, saw 5'],
    [answer(201, {}), 'POST /book: expected the field booking_id, saw {}'],
    [answer(201, []), 'POST /book: expected a JSON object, saw []'],
    [answer(201, 'text', 'text/html'), 'POST /book, content type: expected application/json, saw text/html'],
  ])('says what was expected and what was seen (%#)', (seen, message) => {
    expect(() => expectAnswer(seen, 201, { booking_id: anInteger })).toThrow(new ExpectationFailed(message));
  });
});

describe('expectRefusal', () => {
  it('answers the code', () => {
    const refused = answer(400, { message: 'Give slots a number.', code: 'VALIDATION_FAILED' });
    expect(expectRefusal(refused, 400, { names: 'slots' })).toBe('VALIDATION_FAILED');
    expect(expectRefusal(refused, [400, 404])).toBe('VALIDATION_FAILED');
  });

  it.each([
    [answer(400, { message: '', code: 'A' }), /message: expected a text/],
    [answer(400, { message: 'a', code: 'camelCase' }), /code: expected a code in UPPER_SNAKE_CASE/],
    [answer(500, { message: 'a', code: 'A' }), /status: expected 400/],
    [answer(400, { message: 'at f (/app/dist/a.js:1:2)', code: 'A' }), /no stack/],
    [answer(400, { message: 'violates unique constraint', code: 'A' }), /no stack/],
    [answer(400, { message: 'a', code: 'A' }), /an error that names slots/],
  ])('wants every part of an error (%#)', (refused, message) => {
    expect(() => expectRefusal(refused, 400, { names: 'slots' })).toThrow(message);
  });
});

describe('the small ones', () => {
  it('compares deeply', () => {
    expect(() => expectEqual('list', [1, { a: 2 }], [1, { a: 2 }])).not.toThrow();
    expect(() => expectEqual('list', [1, 2], [2, 1])).toThrow('list: expected [2,1], saw [1,2]');
    expect(() => expectEqual('nothing', undefined, null)).toThrow('nothing: expected null, saw nothing');
  });

  it('compares with bounds, both included, and never with NaN', () => {
    expect(() => expectBetween('ms', 5, 5, 5)).not.toThrow();
    expect(() => expectBetween('ms', NaN, 0, 5)).toThrow('ms: expected from 0 to 5');
  });

  it('tells of all cases that failed, and passes other errors on', async () => {
    const check = (value: number): Promise<void> =>
      value > 1 ? Promise.reject(new ExpectationFailed(`${value}`)) : Promise.resolve();
    const cases = [1, 2, 3].map((value) => [`case ${value}`, value] as const);
    await expect(expectEach(cases, check)).rejects.toThrow('case 2: 2\ncase 3: 3');
    await expect(expectEach(cases, () => Promise.reject(new Error('else')))).rejects.toThrow(new Error('else'));
  });

  it('fails with what it was told', () => {
    expect(() => fail('slots', 5, { a: 1 })).toThrow(new ExpectationFailed('slots: expected 5, saw {"a":1}'));
  });
});

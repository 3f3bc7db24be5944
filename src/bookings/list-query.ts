import { AppError } from '../common/app-error.js';

export const LIMIT_MOST = 1_000;

/** Which part of a list is asked for. */
export interface ListQuery {
  /** Only bookings with a higher number; null: from the first. */
  after: number | null;
  /** At most so many, 1 to {@link LIMIT_MOST}; null: all of them. */
  limit: number | null;
}

/**
 * The page that a query asks for; what is left out stays open.
 *
 * No DTO: it would refuse whatever else is in the query, and clients of this list have never been refused for that.
 * @throws AppError `VALIDATION_FAILED`, with every parameter that is wrong
 */
export function parseListQuery(after: string | undefined, limit: string | undefined): ListQuery {
  const query = { after: wholeNumber(after, Number.MAX_SAFE_INTEGER), limit: wholeNumber(limit, LIMIT_MOST) };
  const errors = [];
  if (query.after === undefined) {
    const message = `after must be the booking_id of a booking: a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`;
    errors.push({ field: 'after', message });
  }
  if (query.limit === undefined) {
    errors.push({ field: 'limit', message: `limit must be a whole number from 1 to ${LIMIT_MOST}` });
  }
  if (query.after !== undefined && query.limit !== undefined) return { after: query.after, limit: query.limit };
  const message = errors.map((error) => error.message).join('; ');
  throw new AppError('invalid', 'VALIDATION_FAILED', message, { field: errors[0]?.field, errors });
}

/** From 1 to `most`; null where there is none, and undefined where it is wrong. */
function wholeNumber(text: string | undefined, most: number): number | null | undefined {
  if (text === undefined) return null;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= most ? number : undefined;
}

import { AppError } from './app-error.js';

/**
 * A booking's number in a path: decimal digits. A number that no booking can have is left to be not found: 0.
 *
 * No pipe: the validation pipe runs before it and has read `0x10` as 16 by then.
 * @throws AppError `VALIDATION_FAILED`
 */
export function parseBookingId(text: string): number {
  if (!/^-?\d+$/.test(text)) {
    throw new AppError('invalid', 'VALIDATION_FAILED', 'booking_id must be a whole number', { field: 'booking_id' });
  }
  const bookingId = Number(text);
  return Number.isSafeInteger(bookingId) && bookingId > 0 ? bookingId : 0;
}

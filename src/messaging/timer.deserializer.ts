import type { ConsumerDeserializer, IncomingEvent } from '@nestjs/microservices';
import { isTimerPattern } from './timers.js';

/** A pattern without a handler: the transport parks such messages. */
export const UNKNOWN_PATTERN = 'unknown';

/**
 * Makes an event of whatever a message's body was parsed to. Only the patterns that have a handler pass: Nest would
 * parse any other text again as a pattern, and an `id` would make a request of it, to be answered.
 */
export class TimerDeserializer implements ConsumerDeserializer {
  deserialize(value: unknown): IncomingEvent {
    if (typeof value !== 'object' || value === null || !('pattern' in value) || !isTimerPattern(value.pattern)) {
      return { pattern: UNKNOWN_PATTERN, data: undefined };
    }
    return { pattern: value.pattern, data: 'data' in value ? value.data : undefined };
  }
}

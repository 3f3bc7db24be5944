/** The block of a place in the line, as SQL: 1,024 places each. What the triggers on `bookings` count by. */
export const blockOf = (ticket: string): string => `(${ticket} >> 10)`;

/** The first place of a block, as SQL. */
export const firstOf = (block: string): string => `(${block} << 10)`;

/** The rank of the waiting booking `b`, from 1, as SQL: who is in the blocks in front of its own, and in its own up to itself. */
export const RANK = `(
    (SELECT coalesce(sum(front.waiting), 0) FROM line_blocks front
      WHERE front.conference_id = b.conference_id AND front.block < ${blockOf('b.queue_ticket')})
    + (SELECT count(*) FROM bookings w WHERE w.conference_id = b.conference_id AND w.status = 'WAITLISTED'
      AND w.queue_ticket BETWEEN ${firstOf(blockOf('b.queue_ticket'))} AND b.queue_ticket))`;

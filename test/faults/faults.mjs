/** What guards against the faults: test files, run as `npm test` runs them. */
export const TESTS = {
  'the model': { file: 'test/e2e/model.test.ts' },
  'the model, with timers': { file: 'test/e2e/model.test.ts', only: 'with a broker' },
  'the model, with the sweep': { file: 'test/e2e/model.test.ts', only: 'without a broker' },
  'many clients on three instances': { file: 'test/e2e/instances.test.ts' },
  'idempotency keys': { file: 'test/e2e/idempotency.test.ts' },
  'a crash in a timer’s handling': { file: 'test/e2e/redelivery.test.ts' },
  'who may do what': { file: 'test/e2e/access.test.ts', only: 'a shared secret' },
  abuse: { file: 'test/e2e/abuse.test.ts' },
  'odd requests': { file: 'test/e2e/fuzz.test.ts' },
  'odd messages': { file: 'test/e2e/queue-fuzz.test.ts' },
};

/** Each is one change of a built file: `find` stands there exactly once, and `put` takes its place. */
export const FAULTS = [
  {
    name: 'no lock on conferences',
    file: 'seating/seating-locks.js',
    find: `
                .setLock('for_no_key_update')
                .setOnLocked('skip_locked')
                // A booking's`,
    put: `
                // A booking's`,
    caughtBy: 'many clients on three instances',
  },
  {
    name: 'no ownership check on confirm',
    file: 'seating/rules.js',
    find: `    if (seat.userId !== userId)
        return refused(REFUSALS.notOwner);
    if (seat.status !== 'ConfirmationPending')`,
    put: `    if (seat.status !== 'ConfirmationPending')`,
    caughtBy: 'the model, with timers',
  },
  {
    name: 'the deadline is not checked on confirm',
    file: 'seating/rules.js',
    find: `if (isOverdue(hall, seat))
        return refused(REFUSALS.deadlinePassed);`,
    put: '',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'last in, first out',
    file: 'seating/statements.js',
    find: 'ORDER BY w.conference_id, w.queue_ticket LIMIT wish.front',
    put: 'ORDER BY w.conference_id, w.queue_ticket DESC LIMIT wish.front',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'no promotion on cancel',
    file: 'seating/rules.js',
    find: 'offerFreeSlots(hall, hall.conference(seat.conferenceId), seat);',
    put: '',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'no promotion on expiry',
    file: 'seating/rules.js',
    find: '        offerFreeSlots(hall, conference, seat);',
    put: '',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'the sweep is off, and timers are lost',
    file: 'waitlist/sweep.js',
    find: 'this.round = this.sweep();',
    put: '',
    caughtBy: 'the model, with the sweep',
  },
  {
    name: 'a timer is acked before its transaction commits',
    file: 'messaging/acknowledger.js',
    find: 'await work(timer, this.ending.signal);',
    put: 'settleOn(context, (channel, message) => channel.ack(message)); await work(timer, this.ending.signal);',
    caughtBy: 'a crash in a timer’s handling',
  },
  {
    name: 'held slots are counted as free',
    file: 'seating/rules.js',
    find: "const status = conference.availableSlots > 0 ? 'CONFIRMED' : 'WAITLISTED';",
    put: "const status = conference.availableSlots + conference.heldSlots > 0 ? 'CONFIRMED' : 'WAITLISTED';",
    caughtBy: 'the model, with timers',
  },
  {
    name: 'an idempotency key is stored after the commit',
    file: 'seating/seating-transaction.js',
    find: 'writes: [...writes, keep]',
    put: 'writes: (keep && setTimeout(() => void this.dataSource.query(keep.text, keep.values), 50), writes)',
    caughtBy: 'idempotency keys',
  },
  {
    name: 'the line is not closed at the start',
    file: 'seating/rules.js',
    find: "hall.move(seat, 'CANCELED', 'conference_started');",
    put: '{}',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'a deadline may be later than the start',
    file: 'seating/rules.js',
    find: 'deadline: Math.min(hall.now + hall.policy.windowMs, conference.startsAt),',
    put: 'deadline: hall.now + hall.policy.windowMs,',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'a missed offer keeps its place in the line',
    file: 'seating/hall.js',
    find: 'seat.queueTicket = conference.lastTicket;',
    put: 'seat.queueTicket ??= conference.lastTicket;',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'the count of those who wait is not kept',
    file: 'seating/hall.js',
    find: 'conference.waitlisted -= 1;',
    put: '',
    caughtBy: 'the model, with timers',
  },
  {
    name: 'the bookings of others can be looked up',
    file: 'access/caller.js',
    find: "(caller.kind === 'attendee' && caller.userId === userId)",
    put: "caller.kind === 'attendee'",
    caughtBy: 'who may do what',
  },
  {
    name: 'a token need not say when it ends',
    file: 'access/token-check.js',
    find: "requiredClaims: ['exp', 'sub']",
    put: "requiredClaims: ['sub']",
    caughtBy: 'who may do what',
  },
  {
    name: 'what was signed with any secret is let through',
    file: 'access/token-check.js',
    find: 'timingSafeEqual(Buffer.from(one), Buffer.from(other))',
    put: 'true',
    caughtBy: 'who may do what',
  },
  {
    name: 'a token of another issuer is let through',
    file: 'access/token-check.js',
    find: '(issuer === null || iss === issuer)',
    put: 'true',
    caughtBy: 'who may do what',
  },
  {
    name: 'a token that was seen counts for ever',
    file: 'access/authenticator.js',
    find: 'known !== undefined && known.until > Date.now()',
    put: 'known !== undefined',
    caughtBy: 'who may do what',
  },
  {
    name: 'the body of somebody unknown is read',
    file: 'application.js',
    find: 'refuseUnknown(fastify);',
    put: '',
    caughtBy: 'who may do what',
  },
  {
    name: 'a key of somebody else is answered',
    file: 'bookings/bookings.service.js',
    find: "'userId' in caller ? `${command.kind}:${caller.userId}` : command.kind",
    put: 'command.kind',
    caughtBy: 'who may do what',
  },
  {
    name: 'requests are not counted',
    file: 'http/limits.js',
    find: 'const count = fastify.rateLimit();',
    put: 'const count = async () => undefined;',
    caughtBy: 'abuse',
  },
  {
    name: 'a user may have any number of active bookings',
    file: 'seating/rules.js',
    find: 'return maxActive > 0 &&',
    put: 'return maxActive < 0 &&',
    caughtBy: 'abuse',
  },
  {
    name: 'an answer has a field that is not documented',
    file: 'users/users.controller.js',
    find: "return { message: 'User added successfully' };",
    put: "return { message: 'User added successfully', topics: 1 };",
    caughtBy: 'odd requests',
  },
  {
    name: 'a timer of no conference is believed',
    file: 'messaging/timers.js',
    find: 'if (!isConferenceId(conferenceId)) {',
    put: 'if (false) {',
    caughtBy: 'odd messages',
  },
];

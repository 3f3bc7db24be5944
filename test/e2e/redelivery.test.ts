import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startService } from '../support/processes.js';
import { Backstage } from '../support/seating.js';
import { Queues, visit } from './support.js';

const WINDOW_SECONDS = 1;

describe('a timer whose handler is killed before it commits', () => {
  let database: TestDatabase;
  let backstage: Backstage;
  let lockHolder: Backstage;
  let queues: Queues;

  beforeAll(async () => {
    database = await createTestDatabase();
    backstage = await Backstage.open(database.url);
    lockHolder = await Backstage.open(database.url);
    queues = await Queues.open(WINDOW_SECONDS);
  });

  afterAll(async () => {
    await queues.close();
    await lockHolder.close();
    await backstage.close();
    await database.drop();
  });

  it('comes again', async () => {
    const service = await startService(
      // Nothing but the timer keeps time.
      { DATABASE_URL: database.url, ...queues.env, SWEEP_INTERVAL_SECONDS: '3600' },
      { until: 'ready' },
    );
    await queues.whenConsumed();
    const world = visit(service);
    const conference = await world.conference({});
    const [first = '', second = ''] = await world.severalUsers(2);
    const confirmed = await world.bookConfirmed(first, conference);
    const bookingId = await world.bookWaitlisted(second, conference, 1);
    const [row] = await backstage.query<{ conference_id: number }>('SELECT conference_id FROM conferences');
    await world.cancelActive(confirmed);
    const release = await lockHolder.holdConference(row?.conference_id ?? 0);
    // The handler has the timer, and cannot commit.
    await lockHolder.whenWaitedFor();
    await service.stop('SIGKILL');
    world.api.close();
    await release();
    await eventually(async () => expect(await queues.takeDue()).toEqual({ taken: 1, redelivered: 1 }));
    const [booking] = await backstage.query('SELECT status FROM bookings WHERE booking_id = $1', [bookingId]);
    expect(booking).toEqual({ status: 'ConfirmationPending' });
  });
});

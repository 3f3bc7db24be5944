import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.js';
import { type Bench, residentMb } from '../bench.js';
import { fillHalls, settle } from '../halls.js';
import { limit, type Row } from '../rows.js';

const START_AT_MOST_S = 1.5;
const RESIDENT_AT_MOST_MB = 200;
/** What a start leaves behind is gone by then. */
const REST_MS = 2_000;

const CANCELS = 100;

/** From the start of a built service to where it is ready, with its tables there, and its memory at rest. */
export async function measureStart(bench: Bench): Promise<Row[]> {
  // Makes the tables.
  const service = await bench.openService();
  await service.house.instance.stop();
  const seconds: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < bench.options.rounds; round++) {
    const startedAt = performance.now();
    const instance = await bench.ground.launch(service.house.variables);
    await eventually(
      async () => {
        const { status } = await instance.api.send('GET', '/health/ready');
        if (status !== 200) throw new Error(`The service is not ready: ${status}`);
      },
      { timeoutMs: 30_000, intervalMs: 10 },
    );
    seconds.push((performance.now() - startedAt) / 1_000);
    await pause(REST_MS);
    resident.push(await residentMb(instance.pid));
    await instance.stop();
  }
  return bench.leave(service, [
    limit('start to ready', seconds, { unit: 's', bar: { atMost: START_AT_MOST_S } }),
    limit('resident memory at rest', resident, { unit: 'MB', bar: { atMost: RESIDENT_AT_MOST_MB }, of: 'max' }),
  ]);
}

/** Whether, when a cancellation has been answered, the next in line has the offer already. */
export async function measureCancel(bench: Bench): Promise<Row[]> {
  const service = await bench.openService();
  const late: number[] = [];
  for (let round = 0; round < bench.options.rounds; round++) {
    const prefix = bench.nextTag();
    await fillHalls(service.query, { prefix, conferences: 1, confirmed: CANCELS, offered: 0, waiting: CANCELS });
    await settle(service.query);
    const rows = (await service.query(
      `SELECT booking_id FROM bookings JOIN conferences USING (conference_id) WHERE name = $1 ORDER BY booking_id`,
      [`${prefix} 1`],
    )) as { booking_id: string }[];
    const ids = rows.map(({ booking_id: bookingId }) => Number(bookingId));
    let notYet = 0;
    for (let number = 0; number < CANCELS; number++) {
      await service.house.free(ids[number] ?? 0);
      const { body } = await service.house.api.send('GET', `/booking/${ids[CANCELS + number] ?? 0}`);
      if ((body as { status: unknown }).status !== 'ConfirmationPending') notYet += 1;
    }
    late.push(notYet);
  }
  return bench.leave(service, [
    limit(`offers not there yet when the cancellation is answered, of ${CANCELS}`, late, {
      unit: '',
      bar: { atMost: 0 },
      of: 'max',
    }),
  ]);
}

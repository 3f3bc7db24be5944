import { type Bench, mostResidentMb, type Service, type Turn } from '../bench.js';
import { book, booking } from '../bookings.js';
import { addUsers, fillHalls, settle } from '../halls.js';
import type { PlannedRequest } from '../load/job.js';
import { compare, limit, type Row } from '../rows.js';

const HALLS = 50;
const CONNECTIONS = 256;
const RESIDENT_AT_MOST_MB = 300;

/** More than are answered in a second; a tenth of them, or a multiple of it, is what each kind comes to. */
const MOST_PER_SECOND = 8_000;
/** Twenty requests that repeat: 60 % book, 15 % cancel, 15 % confirm, 10 % look up. */
const PATTERN = 'BBCBFBBCBLBBFBCBBFBL';

/** Offers stand for so long, and none is missed meanwhile. */
const WINDOW_SECONDS = 3_600;

/** People come, go, take what they are offered and look, all at once, on conferences that are full. */
export async function measureRush(bench: Bench): Promise<Row[]> {
  const service = await bench.openService({ CONFIRMATION_WINDOW_SECONDS: String(WINDOW_SECONDS) });
  const resident: number[] = [];
  const results = await bench.inTurn({
    booking: (turn) => book(bench.load, service, turn, { connections: CONNECTIONS, conferences: 1 }),
    rush: async (turn) => {
      const requests = await prepareRush(service, turn);
      const job = { ports: service.ports, connections: CONNECTIONS, seconds: turn.seconds, requests };
      const { result, mostMb } = await mostResidentMb(service.house.instance.pid, () => bench.load.run(job));
      resident.push(mostMb);
      return result;
    },
  });
  return bench.leave(service, [
    compare('mixed rush, 50 full conferences', results.rush, { what: 'booking', results: results.booking }, 0.6),
    limit('resident memory in the rush', resident, { unit: 'MB', bar: { atMost: RESIDENT_AT_MOST_MB }, of: 'max' }),
  ]);
}

/** Fills the halls, and plans whose booking is canceled, confirmed and looked up: each only once. */
async function prepareRush({ query }: Service, { tag, seconds }: Turn): Promise<PlannedRequest[]> {
  const requests = seconds * MOST_PER_SECOND;
  const each = Math.ceil((0.15 * requests) / HALLS);
  await fillHalls(query, {
    prefix: tag,
    conferences: HALLS,
    confirmed: each,
    offered: each,
    // Whoever is canceled makes an offer to one of these.
    waiting: each,
    offeredAt: new Date().toISOString(),
    deadline: new Date(Date.now() + WINDOW_SECONDS * 1_000).toISOString(),
  });
  await addUsers(query, `${tag}n`, requests);
  await settle(query);
  const find = async (status: string): Promise<{ booking_id: string; user_id: string }[]> =>
    // In the halls in turn, as people come.
    (await query(
      `SELECT booking_id, user_id FROM bookings JOIN conferences USING (conference_id)
       WHERE name LIKE $1 || ' %' AND status = $2::booking_status
       ORDER BY row_number() OVER (PARTITION BY conference_id ORDER BY booking_id), conference_id`,
      [tag, status],
    )) as { booking_id: string; user_id: string }[];
  const [confirmed, offered, waiting] = [
    await find('CONFIRMED'),
    await find('ConfirmationPending'),
    await find('WAITLISTED'),
  ];
  const taken = { B: 0, C: 0, F: 0, L: 0 };
  return Array.from({ length: requests }, (_, index): PlannedRequest => {
    const kind = PATTERN[index % PATTERN.length] as keyof typeof taken;
    const number = taken[kind]++;
    switch (kind) {
      case 'B':
        return booking(`${tag}n${number + 1}`, `${tag} ${(number % HALLS) + 1}`);
      case 'C':
        return { method: 'POST', path: '/cancel', body: { booking_id: idOf(confirmed[number]) } };
      case 'F': {
        const body = { booking_id: idOf(offered[number]), user_id: offered[number]?.user_id };
        return { method: 'POST', path: '/confirm', body };
      }
      case 'L':
        return { method: 'GET', path: `/booking/${idOf(waiting[number % waiting.length])}` };
    }
  });
}

function idOf(row: { booking_id: string } | undefined): number {
  if (row === undefined) throw new Error('There are fewer bookings than the rush needs');
  return Number(row.booking_id);
}

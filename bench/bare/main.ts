import { createServer, type IncomingMessage } from 'node:http';
import { Pool } from 'pg';
import { Gatherer, seat, type Wish } from './desk.js';

const MOST_TOGETHER = 256;

const { DATABASE_URL, PORT, MODE } = process.env;
const pool = new Pool({ connectionString: DATABASE_URL, max: 10 });
const gatherer = new Gatherer(pool, MOST_TOGETHER);
const book = MODE === 'each' ? (wish: Wish) => void seat(pool, [wish]) : (wish: Wish) => gatherer.add(wish);

type Answer = Wish['answer'];

async function register(userId: string, answer: Answer): Promise<void> {
  try {
    await pool.query({ name: 'register', text: 'INSERT INTO users (user_id) VALUES ($1)', values: [userId] });
    answer(201, { message: 'added' });
  } catch (error) {
    answer(400, { message: String(error) });
  }
}

async function lookUp(bookingId: string, answer: Answer): Promise<void> {
  try {
    const text = 'SELECT booking_id, status, confirmation_deadline FROM bookings WHERE booking_id = $1';
    const { rows } = await pool.query<object>({ name: 'look up', text, values: [bookingId] });
    answer(rows[0] === undefined ? 404 : 200, rows[0] ?? { message: 'Booking not found' });
  } catch (error) {
    answer(400, { message: String(error) });
  }
}

function readBody(request: IncomingMessage, then: (body: Record<string, string>) => void): void {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (piece: string) => (text += piece));
  request.on('end', () => then(JSON.parse(text) as Record<string, string>));
}

/** The least that a server written by hand does for the same requests: `node:http` and `pg`, and not one check more. */
const server = createServer((request, response) => {
  const answer: Answer = (status, body) => {
    const text = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, headers).end(text);
  };
  const { url = '' } = request;
  if (url === '/book') {
    readBody(request, ({ user_id = '', name = '' }) => book({ userId: user_id, conference: name, answer }));
  } else if (url === '/user') {
    readBody(request, ({ user_id = '' }) => void register(user_id, answer));
  } else if (url.startsWith('/booking/')) {
    void lookUp(url.slice('/booking/'.length), answer);
  } else {
    answer(404, { message: 'Not found' });
  }
});
server.listen(Number(PORT), '127.0.0.1', () => process.send?.('ready'));
process.on('disconnect', () => process.exit());

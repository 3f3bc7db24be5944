import {
  Agent as HttpAgent,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as httpRequest,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { CannotRun } from './client-program.js';

export type BookingStatus = 'CONFIRMED' | 'WAITLISTED' | 'ConfirmationPending' | 'CANCELED';

export interface NewUser {
  user_id: string;
  topics: string[];
}

/** `start` and `end`: `YYYY-MM-DD HH:MM:SS`, read as UTC, or ISO 8601 with `Z` or an offset. */
export interface NewConference {
  name: string;
  location: string;
  start: string;
  end: string;
  slots: number;
  topics: string[];
}

export interface Message {
  message: string;
}

export interface BookResult extends Message {
  booking_id: number;
  status: BookingStatus;
  waitlist_position: number | null;
}

/** A booking as `GET /booking/{id}` and `GET /user/{id}/bookings` show it; the deadline is ISO 8601 in UTC. */
export interface Booking {
  booking_id: number;
  status: BookingStatus;
  conference_name: string;
  can_confirm: boolean;
  confirmation_deadline: string | null;
  waitlist_position: number | null;
}

/** A booking as `GET /conference/{name}/bookings` shows it; instants are ISO 8601 in UTC. */
export interface ConferenceBooking {
  booking_id: number;
  user_id: string;
  status: BookingStatus;
  created_at: string;
  waitlist_position: number | null;
  can_confirm: boolean;
  confirmation_deadline: string | null;
  canceled_at: string | null;
}

/** A conference as `GET /conference/{name}` and `GET /conferences` show it; `available_slots` are the free ones. */
export interface Conference {
  name: string;
  location: string;
  start: string;
  end: string;
  topics: string[];
  total_slots: number;
  available_slots: number;
  held_slots: number;
  waitlisted: number;
}

/** What came back: `body` is the parsed JSON, null where there was none, and the text where it was no JSON. */
export interface Answer {
  /** The request line, as in `POST /book`, for messages. */
  request: string;
  status: number;
  headers: IncomingMessage['headers'];
  body: unknown;
  /** From the request being issued to the last byte of the answer. */
  durationMs: number;
}

/** An answer with the status of success carries its typed body, any other the answer as it came. */
export type Reply<T> = { ok: true; body: T; answer: Answer } | { ok: false; answer: Answer };

/** No answer came: the message is one sentence with the address. */
export class ServiceUnreachable extends CannotRun {}

const ANSWER_TIMEOUT_MS = 30_000;
const UNAUTHENTICATED = 401;
const ASKS_FOR_TOKENS =
  'The service asks its callers for tokens, and this command has none: start one with AUTH_MODE=off for it.';
/** Pages as large as the service allows. */
const PAGE_LIMIT = 100;
/** The service takes no larger body, and refuses it before it has read all of it. */
const BODY_LIMIT_BYTES = 65_536;
const PIECE_BYTES = 16_384;
const FIRST_PIECE_WAIT_MS = 100;

/**
 * Speaks the contract over HTTP with connections that are kept alive.
 *
 * It uses node:http and not fetch: fetch opens a connection for every request in flight, and the agent that would bound
 * them is not exported by node.
 */
export class ApiClient {
  private readonly agent: HttpAgent;
  private readonly basePath: string;

  /** @param connections how many requests are in flight at most; more wait for a connection, and the wait counts. */
  constructor(
    private readonly address: URL,
    connections = 256,
  ) {
    const options = { keepAlive: true, maxSockets: connections, maxFreeSockets: connections };
    this.agent = address.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options);
    this.basePath = address.pathname.replace(/\/+$/, '');
  }

  /** Closes the connections; without it the process ends only when the service closes them. */
  close(): void {
    this.agent.destroy();
  }

  addUser(user: NewUser): Promise<Reply<Message>> {
    return this.typed(201, 'POST', '/user', user);
  }

  addConference(conference: NewConference): Promise<Reply<Message>> {
    return this.typed(201, 'POST', '/conference', conference);
  }

  book(userId: string, name: string): Promise<Reply<BookResult>> {
    return this.typed(201, 'POST', '/book', { user_id: userId, name });
  }

  confirm(bookingId: number, userId: string): Promise<Reply<Message>> {
    return this.typed(200, 'POST', '/confirm', { booking_id: bookingId, user_id: userId });
  }

  /** Without `userId` the body names no owner, as the contract allows. */
  cancel(bookingId: number, userId?: string): Promise<Reply<Message>> {
    const owner = userId === undefined ? {} : { user_id: userId };
    return this.typed(200, 'POST', '/cancel', { booking_id: bookingId, ...owner });
  }

  booking(bookingId: number): Promise<Reply<Booking>> {
    return this.typed(200, 'GET', `/booking/${bookingId}`);
  }

  userBookings(userId: string): Promise<Reply<Booking[]>> {
    return this.typed(200, 'GET', `/user/${encodeURIComponent(userId)}/bookings`);
  }

  conference(name: string): Promise<Reply<Conference>> {
    return this.typed(200, 'GET', `/conference/${encodeURIComponent(name)}`);
  }

  conferenceBookings(name: string): Promise<Reply<ConferenceBooking[]>> {
    return this.typed(200, 'GET', `/conference/${encodeURIComponent(name)}/bookings`);
  }

  /** One page of the conferences that have not started, soonest first, after the one named `after`. */
  conferencesPage(query: { topic?: string; after?: string; limit?: number }): Promise<Reply<Conference[]>> {
    const parameters = new URLSearchParams();
    if (query.topic !== undefined) parameters.set('topic', query.topic);
    if (query.after !== undefined) parameters.set('after', query.after);
    if (query.limit !== undefined) parameters.set('limit', String(query.limit));
    return this.typed(200, 'GET', `/conferences?${parameters.toString()}`);
  }

  /** All conferences that have not started, page by page. Throws CannotRun when a page is refused. */
  async conferences(topic?: string): Promise<Conference[]> {
    const found: Conference[] = [];
    for (;;) {
      const after = found.at(-1)?.name;
      const page = await this.conferencesPage({
        limit: PAGE_LIMIT,
        ...(topic === undefined ? {} : { topic }),
        ...(after === undefined ? {} : { after }),
      });
      if (!page.ok) throw new CannotRun(`The conferences cannot be listed: ${describeAnswer(page.answer)}.`);
      found.push(...page.body);
      if (page.body.length < PAGE_LIMIT) return found;
    }
  }

  /** Sends `body` as JSON, when there is one, and takes any answer as it comes. Throws ServiceUnreachable. */
  send(method: string, path: string, body?: unknown): Promise<Answer> {
    return body === undefined
      ? this.sendRaw(method, path)
      : this.sendRaw(method, path, { 'content-type': 'application/json' }, JSON.stringify(body));
  }

  /** Sends exactly these headers and this body, for requests that are wrong on purpose. Throws ServiceUnreachable. */
  sendRaw(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders = {},
    body: string | Buffer = '',
  ): Promise<Answer> {
    const payload = Buffer.from(body);
    const length = method === 'GET' && payload.length === 0 ? {} : { 'content-length': String(payload.length) };
    const startedAt = performance.now();
    return new Promise<Answer>((resolve, reject) => {
      const request = this.open(method, path, { accept: 'application/json', ...headers, ...length });
      let isAnswered = false;
      const fail = (error: Error): void => {
        // A service that refuses a body by its length may close before it has read all of it.
        if (!isAnswered) reject(this.unreachable(error));
      };
      request.setTimeout(ANSWER_TIMEOUT_MS, () => {
        request.destroy(new Error(`no answer to ${method} ${path} within ${ANSWER_TIMEOUT_MS / 1000} s`));
      });
      request.on('error', fail);
      request.on('response', (response) => {
        isAnswered = true;
        readText(response).then(
          (answer) =>
            resolve({
              request: `${method} ${path}`,
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: parseBody(answer),
              durationMs: performance.now() - startedAt,
            }),
          (error: unknown) => reject(this.unreachable(error instanceof Error ? error : new Error(String(error)))),
        );
      });
      if (payload.length <= BODY_LIMIT_BYTES) request.end(payload);
      else void sendPieces(request, payload, () => isAnswered);
    });
  }

  private open(method: string, path: string, headers: OutgoingHttpHeaders): ReturnType<typeof httpRequest> {
    const options: RequestOptions = {
      // An IPv6 address stands in brackets in a URL, and without them here.
      hostname: this.address.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: this.address.port,
      path: this.basePath + path,
      method,
      headers,
      agent: this.agent,
    };
    return this.address.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
  }

  /** The cast is the contract's word: the scenarios are what checks it. */
  private async typed<T>(success: number, method: string, path: string, body?: unknown): Promise<Reply<T>> {
    const answer = await this.send(method, path, body);
    if (answer.status === UNAUTHENTICATED) throw new CannotRun(ASKS_FOR_TOKENS);
    return answer.status === success ? { ok: true, body: answer.body as T, answer } : { ok: false, answer };
  }

  private unreachable(error: Error): ServiceUnreachable {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
    return new ServiceUnreachable(
      `No service answers at ${this.address.href} (${code}): start it, or give its address with --url.`,
    );
  }
}

/** An answer in one line, for messages: the request, the status and the start of the body. */
export function describeAnswer({ request, status, body }: Answer): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `${request} → ${status} ${text.length > 300 ? `${text.slice(0, 300)}…` : text}`;
}

async function readText(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

function parseBody(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Sends the first piece, waits a moment, and sends on only while there is no answer: a service that refuses a body by its
 * length closes, and what is sent after that resets the connection before the answer is read.
 */
async function sendPieces(
  request: ReturnType<typeof httpRequest>,
  payload: Buffer,
  isAnswered: () => boolean,
): Promise<void> {
  for (let from = 0; from < payload.length && !isAnswered() && !request.destroyed; from += PIECE_BYTES) {
    request.write(payload.subarray(from, from + PIECE_BYTES));
    await (from === 0 ? sleep(FIRST_PIECE_WAIT_MS) : nextTurn());
  }
  if (!isAnswered()) request.end();
}

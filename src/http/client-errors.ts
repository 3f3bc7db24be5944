import type { Socket } from 'node:net';

/** Node's error for what it could not read, or not in time. */
export interface ClientError extends Error {
  code?: string;
  rawPacket?: unknown;
}

const REQUEST_LINE = /^[A-Z-]+ \S+ HTTP\/1\.[01]\r?\n/;
/** Whoever goes on sending after the answer is cut; before that, what is on its way must not reset the connection. */
const LINGER_MS = 1_000;

const NO_METHOD = {
  status: '404 Not Found',
  message: 'No path has this method: see /docs',
  code: 'ROUTE_NOT_FOUND',
};
const TOO_SLOW = {
  status: '408 Request Timeout',
  message: 'The request took too long to arrive: send it again',
  code: 'REQUEST_TIMED_OUT',
};
const TOO_LARGE = {
  status: '400 Bad Request',
  message: 'The path and the headers are too large: send at most 16 KiB',
  code: 'MALFORMED_REQUEST',
};
const UNREADABLE = {
  status: '400 Bad Request',
  message: 'The request is not valid HTTP: correct its syntax',
  code: 'MALFORMED_REQUEST',
};

/** Answers what never became a request, in JSON, and ends the connection. @returns the status; null: there was no place for it */
export function answerClientError(error: ClientError, socket: Socket, requestId: string): number | null {
  if (!socket.writable) return null;
  if (isBeingAnswered(socket)) {
    socket.destroy();
    return null;
  }
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
  const { status, ...body } = answerTo(error);
  const text = JSON.stringify(body);
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}`;
  socket.end(`${head}\r\nX-Request-Id: ${requestId}\r\nConnection: close\r\n\r\n${text}`);
  return Number.parseInt(status);
}

/** In the middle of an answer there is no place for another one. Node itself looks at the same, and has no name for it. */
function isBeingAnswered(socket: Socket & { _httpMessage?: { headersSent: boolean } | null }): boolean {
  return socket._httpMessage?.headersSent === true;
}

function answerTo({ code, rawPacket }: ClientError): typeof UNREADABLE {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return TOO_SLOW;
  if (code === 'HPE_HEADER_OVERFLOW') return TOO_LARGE;
  // A method that HTTP itself does not know is one that no path has.
  const isMethod =
    code === 'HPE_INVALID_METHOD' && REQUEST_LINE.test(Buffer.from(rawPacket as Uint8Array).toString('latin1'));
  return isMethod ? NO_METHOD : UNREADABLE;
}

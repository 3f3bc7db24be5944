import { connect, type Socket } from 'node:net';

const HEAD_END = '\r\n\r\n';

/** What a server said: the status, and the body as text. */
export interface RawAnswer {
  status: number;
  body: string;
}

/**
 * A keep-alive connection that carries one request at a time. It reads what the servers here send, status and
 * `Content-Length`, and nothing else of HTTP: each request costs half of what a full client takes (README.md).
 */
export class Connection {
  private received: Buffer | null = null;
  private onAnswer: ((answer: RawAnswer) => void) | null = null;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (piece) => this.read(piece));
  }

  /** @param onEnd is told why, once the connection is of no more use */
  static open(port: number, onEnd: (error: Error) => void): Promise<Connection> {
    return new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('connect', () => resolve(new Connection(socket)));
      socket.once('error', onEnd);
      socket.once('close', () => onEnd(new Error(`The server at port ${port} closed a connection`)));
    });
  }

  /** Sends a request; `onAnswer` gets its answer. Only one may be under way. */
  send(request: Buffer, onAnswer: (answer: RawAnswer) => void): void {
    this.onAnswer = onAnswer;
    this.socket.write(request);
  }

  close(): void {
    this.socket.removeAllListeners('close').destroy();
  }

  private read(piece: Buffer): void {
    const received = this.received === null ? piece : Buffer.concat([this.received, piece]);
    const headEnd = received.indexOf(HEAD_END);
    const head = headEnd < 0 ? '' : received.toString('latin1', 0, headEnd);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (headEnd >= 0 && length === undefined) {
      this.socket.destroy(new Error(`An answer without Content-Length:\n${head}`));
      return;
    }
    const bodyFrom = headEnd + HEAD_END.length;
    if (headEnd < 0 || received.length < bodyFrom + Number(length)) {
      this.received = received;
      return;
    }
    this.received = null;
    const { onAnswer } = this;
    this.onAnswer = null;
    const status = Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
    // A success is only counted.
    onAnswer?.({ status, body: status < 300 ? '' : received.toString('utf8', bodyFrom) });
  }
}

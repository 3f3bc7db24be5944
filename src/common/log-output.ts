import { destination, type DestinationStream } from 'pino';

/** Lines that may wait are written when there are so many characters of them, or after so long. */
const CHUNK = 8_192;
const WAIT_MS = 100;
/** So much waits at most for a reader who is slow, bytes: some 15,000 lines. What comes then is dropped, and counted. */
const UNREAD_MOST = 4 * 1_024 * 1_024;
/** At the end a slow reader is tried again so often, every 0.1 s. */
const LAST_TRIES = 10;

/**
 * Standard output, for one line after the other. A line that may wait is written with those that come within 0.1 s, as each
 * write costs as much as making a line; all others are written at once, and never wait behind the event loop.
 *
 * Nobody waits for a slow reader of a pipe: what it does not take is kept, 4 MiB at most, and tried again every 0.1 s.
 */
export class LogOutput implements DestinationStream {
  private readonly stream = destination({
    dest: 1,
    sync: true,
    // Without it nothing that was refused can be tried again.
    minLength: 1,
    maxLength: UNREAD_MOST,
    retryEAGAIN: () => this.lastTries-- > 0,
  });
  private waiting: string[] = [];
  private waitingLength = 0;
  private mayWait = false;
  private timer: NodeJS.Timeout | null = null;
  /** Something was refused, and is to be tried again. */
  private isBehind = false;
  private dropped = 0;
  private lastTries = 0;

  /**
   * @param onRead called with the number of lines that were dropped, once a slow reader has caught up
   * @param onGone called when nobody reads any more
   */
  constructor(onRead: (dropped: number) => void, onGone: () => void) {
    this.stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') {
        onGone();
        return;
      }
      this.isBehind = true;
      this.flushSoon();
    });
    this.stream.on('drop', (chunk: string) => (this.dropped += chunk.split('\n').length - 1));
    this.stream.on('drain', () => {
      const { dropped } = this;
      this.dropped = 0;
      if (dropped > 0) onRead(dropped);
    });
    process.on('exit', () => this.end());
  }

  /** What is written by `work` may wait. */
  unhurried(work: () => void): void {
    this.mayWait = true;
    work();
    this.mayWait = false;
  }

  write(line: string): void {
    this.waiting.push(line);
    this.waitingLength += line.length;
    if (!this.mayWait || this.waitingLength >= CHUNK) this.flush();
    else this.flushSoon();
  }

  private flushSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.flush();
    }, WAIT_MS).unref();
  }

  private flush(): void {
    // What was refused comes first, and makes room.
    if (this.isBehind) {
      this.isBehind = false;
      this.stream.flush();
    }
    if (this.waiting.length === 0) return;
    const chunk = this.waiting.join('');
    this.waiting = [];
    this.waitingLength = 0;
    this.stream.write(chunk);
  }

  private end(): void {
    this.lastTries = LAST_TRIES;
    try {
      this.flush();
      this.stream.flushSync();
    } catch {
      // Nobody reads.
    }
  }
}

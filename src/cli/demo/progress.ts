import cliProgress from 'cli-progress';

const PLAIN_LINE_EVERY_MS = 2000;

/** Shows how far a stage of the run is: a bar on a terminal, else a line at its beginning, now and then, and at its end. */
export class Progress {
  private readonly bar = process.stdout.isTTY
    ? new cliProgress.SingleBar({
        format: '{stage} [{bar}] {percentage}% {note}',
        stream: process.stdout,
        barsize: 30,
        hideCursor: null,
        // Its handler of SIGINT stops the bar and not the program.
        gracefulExit: false,
      })
    : null;
  private stage = '';
  private total = 0;
  private value = 0;
  private note = '';
  private lastLineAt = 0;

  /** @param total how much there is to do, in any unit. */
  start(stage: string, total: number): void {
    [this.stage, this.total, this.value, this.note] = [stage.padEnd(12), Math.max(1, total), 0, ''];
    this.bar?.start(this.total, 0, { stage: this.stage, note: '' });
    this.printLine();
  }

  advance(by = 1): void {
    this.show(this.value + by, this.note);
  }

  /** @param value how much is done; the total when it is more. */
  show(value: number, note: string): void {
    this.value = Math.min(this.total, value);
    this.note = note;
    this.bar?.update(this.value, { note });
    if (performance.now() - this.lastLineAt >= PLAIN_LINE_EVERY_MS) this.printLine();
  }

  finish(note = this.note): void {
    this.show(this.total, note);
    this.stop();
    this.printLine();
  }

  /** Ends a bar that is shown: it would keep the process alive. */
  stop(): void {
    this.bar?.stop();
  }

  private printLine(): void {
    this.lastLineAt = performance.now();
    if (this.bar !== null) return;
    console.log(`${this.stage} ${Math.floor((100 * this.value) / this.total)}% ${this.note}`.trimEnd());
  }
}

import type { Client } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import { ask } from './prepared.js';

/** SQL and its parameters. `Row` is what it answers with. */
export interface Statement<Row> {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Never set: it keeps the type. */
  readonly row?: Row;
}

export function statement<Row>(text: string, values: readonly unknown[]): Statement<Row> {
  return { text, values };
}

/** What a flight brings back: the rows of each statement, and none for one that was not sent. */
type RowsOf<Flight extends readonly (Statement<unknown> | null)[]> = {
  [Index in keyof Flight]: Flight[Index] extends Statement<infer Row> | null ? Row[] : never;
};

const BEGIN = statement<never>('START TRANSACTION', []);
const COMMIT = statement<never>('COMMIT', []);
const ROLLBACK = statement<never>('ROLLBACK', []);

/**
 * A transaction whose statements go out in flights: those that do not need one another's answers are sent together, and
 * the server carries them out one after the other, each with a snapshot of its own. So a way to the server and back is
 * paid for once per flight.
 * Source: https://www.postgresql.org/docs/current/protocol-flow.html (pipelining)
 */
export class FlightTransaction {
  private isBegun = false;
  private isOver = false;

  private constructor(
    private readonly runner: QueryRunner,
    private readonly client: Client,
  ) {}

  /** Takes a connection of the pool, until {@link end}. @throws where there is none, or none in time */
  static async on(dataSource: DataSource): Promise<FlightTransaction> {
    const runner = dataSource.createQueryRunner();
    try {
      return new FlightTransaction(runner, (await runner.connect()) as Client);
    } catch (error) {
      await runner.release();
      throw error;
    }
  }

  /** Sends statements, the first of them behind BEGIN; nothing where all are null. @throws the first error; whatever was sent behind it was not done */
  async send<const Flight extends readonly (Statement<unknown> | null)[]>(...flight: Flight): Promise<RowsOf<Flight>> {
    if (flight.every((each) => each === null)) return flight.map(() => []) as unknown as RowsOf<Flight>;
    const [, ...rows] = await this.fly([this.begin(), ...flight]);
    return rows as unknown as RowsOf<Flight>;
  }

  /**
   * Sends the last statements, and COMMIT behind them.
   * @throws the first error. Where that is the loss of the connection, nobody knows what became of the transaction.
   */
  async commit(...flight: readonly (Statement<unknown> | null)[]): Promise<void> {
    await this.fly([this.begin(), ...flight, COMMIT]);
    this.isOver = true;
  }

  /** Ends the connection, which is lost or in an unknown state: the pool would hand it to the next transaction. */
  async discard(): Promise<void> {
    this.isOver = true;
    // The pool does not notice at once that a server has said goodbye.
    if (!this.runner.isReleased) void this.client.end().catch(() => undefined);
    await this.runner.release();
  }

  /** Rolls back what was not committed, and gives the connection back to the pool. */
  async end(): Promise<void> {
    if (this.runner.isReleased) return;
    if (this.isBegun && !this.isOver) await this.fly([ROLLBACK]).catch(() => this.discard());
    await this.runner.release();
  }

  private begin(): Statement<never> | null {
    if (this.isBegun) return null;
    this.isBegun = true;
    return BEGIN;
  }

  private fly(flight: readonly (Statement<unknown> | null)[]): Promise<unknown[][]> {
    // One packet, for each write costs as much as a small statement. All are waited for: none fails unheard.
    const { stream } = this.client.connection;
    stream.cork();
    try {
      return Promise.all(flight.map(async (each) => (each === null ? [] : this.ask(each))));
    } finally {
      stream.uncork();
    }
  }

  private async ask({ text, values }: Statement<unknown>): Promise<unknown[]> {
    if (values.length === 0) return (await this.client.query<object>(text)).rows;
    return ask<object>(this.client, this.runner.manager.dataSource, text, [...values]);
  }
}

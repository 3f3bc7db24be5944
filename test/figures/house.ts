import { DataSource } from 'typeorm';
import { describeAnswer } from '../../src/cli/api-client.js';
import { auditDatabase, type Finding, inSnapshot } from '../../src/cli/audit/audit-database.js';
import { type Environment, parseEnvironment } from '../../src/config/environment.js';
import type { Instance } from './instance.js';

/** A connection past the service, which lives through a database that is killed. */
export function openDatabase(url: string): Promise<DataSource> {
  return new DataSource({ type: 'postgres', url, poolErrorHandler: () => undefined }).initialize();
}

/** An instance of the service with a database of its own. */
export class House {
  readonly environment: Environment;
  private closed: Promise<void> | null = null;

  constructor(
    /** What every instance on this database is told. */
    readonly variables: Record<string, string>,
    readonly instance: Instance,
    private readonly database: DataSource,
  ) {
    this.environment = parseEnvironment(variables);
  }

  get api(): Instance['api'] {
    return this.instance.api;
  }

  /** Resolves when the instance is ready, and has the broker where it is told of one. */
  async open(): Promise<void> {
    await this.instance.whenReady(this.environment.broker === null ? 'none' : 'up');
  }

  query<T extends object = Record<string, unknown>>(sql: string, parameters: unknown[] = []): Promise<T[]> {
    return this.database.query<T[]>(sql, parameters);
  }

  /** Cancels a confirmed booking, so that its slot is offered. */
  async free(bookingId: number): Promise<void> {
    const reply = await this.api.cancel(bookingId);
    if (!reply.ok) throw new Error(`A slot could not be freed: ${describeAnswer(reply.answer)}`);
  }

  /** The rules that its database breaks, while it is in use; none when all is well. */
  async brokenRules(): Promise<Finding[]> {
    const findings = await inSnapshot(this.database, (query) => auditDatabase(query));
    return findings.filter(({ total }) => total > 0);
  }

  /** Ends the instance; further calls get the first one's promise. */
  close(): Promise<void> {
    return (this.closed ??= this.end());
  }

  private async end(): Promise<void> {
    await this.instance.stop();
    await this.database.destroy();
  }
}

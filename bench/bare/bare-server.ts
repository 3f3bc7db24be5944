import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../../src/database/postgres-server.js';
import type { Query } from '../halls.js';
import { endProcess, startTypeScript } from '../typescript.js';

/** `each`: one transaction for each request. `together`: everything that waits in one transaction. */
export type Mode = 'each' | 'together';

/** A process of the bare server. */
export class BareServer {
  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
  ) {}

  /** Makes the tables of the bare server in an empty database. */
  static async createTables(query: Query): Promise<void> {
    await query(readFileSync(join(import.meta.dirname, 'schema.sql'), 'utf8'));
  }

  static async start(databaseUrl: string, mode: Mode): Promise<BareServer> {
    const port = await findFreePort();
    const env = { DATABASE_URL: databaseUrl, PORT: String(port), MODE: mode, NODE_ENV: 'production' };
    return new BareServer(port, await startTypeScript('bare/main.ts', env));
  }

  stop(): Promise<void> {
    return endProcess(this.child);
  }
}

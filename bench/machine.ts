import { availableParallelism, cpus, platform, totalmem } from 'node:os';
import { openDatabase } from '../test/figures/house.js';

/** What figures depend on; nothing that names the machine. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  platform: string;
  node: string;
  postgres: string;
}

export async function describeMachine(databaseUrl: string): Promise<Machine> {
  const database = await openDatabase(databaseUrl);
  const [row] = await database
    .query<{ server_version: string }[]>('SHOW server_version')
    .finally(() => database.destroy());
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: platform(),
    node: process.versions.node,
    postgres: row?.server_version ?? 'unknown',
  };
}

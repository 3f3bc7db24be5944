import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** How long two that start at the same moment give way to each other before one of them gives up. */
const GIVE_WAY_MS = 5_000;

const STATE_FILE = 'service.json';
const DRAFT_FILE = `${STATE_FILE}.new`;
const CLAIM = /^lock-(\d+)-([0-9a-f]*)-([0-9a-f]{16})$/;

interface Claim {
  name: string;
  pid: number;
  /** See `identifyProcess`. */
  identity: string;
}

interface State {
  claim: string;
  url: string | null;
}

/** A folder that this process alone may use. */
export interface FolderLock {
  /** Tells others (see `findLockedUrl`) how to reach what runs on the folder. Errors: those of `node:fs`. */
  publish(url: string): void;
  release(): void;
}

/** Another process has the folder. */
export class FolderInUseError extends Error {
  constructor(
    folder: string,
    readonly pid: number,
  ) {
    super(
      `The data folder ${folder} is in use by another service, the process ${pid}: stop that one, or set DATABASE_URL.`,
    );
    this.name = 'FolderInUseError';
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Output of `ps` for one process where there is no /proc, or null. */
function askPs(pid: number, field: string): string | null {
  try {
    return execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return null;
  }
}

/** Whether a process lives. A zombie does not, though the kernel still takes signals for it: nobody may ever reap it. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const stat = readText(`/proc/${pid}/stat`);
  return stat === null || !/\) [ZX]/.test(stat);
}

/** The command line of a living process, arguments separated by spaces; null where it cannot be told. */
export function findCommandLine(pid: number): string | null {
  return readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ') ?? askPs(pid, 'command');
}

/**
 * What tells a process from a later one with the same id: a hash of the machine's boot and the process's start time.
 * Null: no such process. An empty string: this platform does not tell.
 */
function identifyProcess(pid: number): string | null {
  if (!isProcessAlive(pid)) return null;
  // The name, in brackets, may itself hold brackets and blanks; the start time is the 20th field after it.
  const ticks = readText(`/proc/${pid}/stat`)?.split(') ').pop()?.split(' ')[19];
  const startedAt = ticks ?? askPs(pid, 'lstart');
  if (!startedAt) return '';
  const boot = readText('/proc/sys/kernel/random/boot_id') ?? '';
  return createHash('sha256').update(`${boot} ${startedAt}`).digest('hex').slice(0, 16);
}

function isAlive(claim: Claim): boolean {
  const identity = identifyProcess(claim.pid);
  return identity !== null && (identity === '' || claim.identity === '' || identity === claim.identity);
}

function listClaims(folder: string): Claim[] {
  return readdirSync(folder).flatMap((name) => {
    const [, pid, identity] = CLAIM.exec(name) ?? [];
    return pid === undefined || identity === undefined ? [] : [{ name, pid: Number(pid), identity }];
  });
}

function readState(folder: string): State | null {
  try {
    return JSON.parse(readFileSync(join(folder, STATE_FILE), 'utf8')) as State;
  } catch {
    return null;
  }
}

function writeState(folder: string, state: State): void {
  const draft = join(folder, DRAFT_FILE);
  rmSync(draft, { force: true });
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600, flag: 'wx' });
  renameSync(draft, join(folder, STATE_FILE));
}

/**
 * Locks a folder for this process until it is released or the process ends, however it ends.
 *
 * Node has no lock that the kernel would release, and a lock file that the next one takes over from a dead owner can
 * be taken over by two at once. So nobody ever takes over a file: everybody writes a claim of their own first and looks
 * for the claims of other living processes second. Of two, at least one sees the other, and who sees another gives way.
 *
 * Errors: FolderInUseError; those of `node:fs` where the folder cannot be written.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const identity = identifyProcess(process.pid) ?? '';
  const name = `lock-${process.pid}-${identity}-${randomBytes(8).toString('hex')}`;
  const path = join(folder, name);
  const giveUpAt = Date.now() + GIVE_WAY_MS;
  for (;;) {
    writeFileSync(path, '', { mode: 0o600, flag: 'wx' });
    const claims = listClaims(folder).filter((claim) => claim.name !== name);
    const living = claims.filter(isAlive);
    if (living.length === 0) {
      try {
        writeState(folder, { claim: name, url: null });
      } catch (error) {
        rmSync(join(folder, DRAFT_FILE), { force: true });
        rmSync(path, { force: true });
        throw error;
      }
      for (const claim of claims) rmSync(join(folder, claim.name), { force: true });
      break;
    }
    rmSync(path, { force: true });
    const state = readState(folder);
    const holder = living.find((claim) => claim.name === state?.claim);
    const inTheWay = holder ?? (Date.now() > giveUpAt ? living[0] : undefined);
    if (inTheWay) throw new FolderInUseError(folder, inTheWay.pid);
    await delay(5 + Math.random() * 50);
  }
  return {
    publish: (url) => writeState(folder, { claim: name, url }),
    release: () => {
      // In this order: once the claim is gone, the state file may be somebody else's.
      if (readState(folder)?.claim === name) rmSync(join(folder, STATE_FILE), { force: true });
      rmSync(path, { force: true });
    },
  };
}

/** What the living owner of a locked folder published, or null. */
export function findLockedUrl(folder: string): string | null {
  const state = readState(folder);
  if (!state?.url) return null;
  return listClaims(folder).some((claim) => claim.name === state.claim && isAlive(claim)) ? state.url : null;
}

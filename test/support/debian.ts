import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Test files run side by side, and the package manager serves one caller at a time. */
const LOCK = '/run/lock/booking-tests-install';

/** Debian starts what it installs, unless the script `policy-rc.d`, by its exit code, forbids it. */
const INSTALL = `
  policy=/usr/sbin/policy-rc.d
  aside=$policy.before-booking-tests
  if [ -e $policy ]; then mv $policy $aside; fi
  trap 'rm -f $policy; if [ -e $aside ]; then mv $aside $policy; fi' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
  apt-get update --quiet
  apt-get install --yes --quiet --no-install-recommends "$0"`;

/** The path of a program, looked for in these folders and then in those of PATH; or null. */
export function findProgram(name: string, folders: readonly string[] = ['/usr/sbin']): string | null {
  const all = [...folders, ...(process.env.PATH ?? '').split(delimiter)];
  return all.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** Whether packages can be installed here: as root on Debian or Ubuntu. */
export function canInstall(): boolean {
  const isDebian =
    existsSync('/etc/os-release') && /^ID(_LIKE)?=.*\b(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'));
  return process.getuid?.() === 0 && isDebian && canRun('apt-get', ['--version']);
}

/** Installs a Debian package, without starting the service in it, and says so. Errors: what the package manager said. */
export function install(packageName: string): void {
  process.stdout.write(`The tests need the Debian package ${packageName}: installing it …\n`);
  runOrThrow('flock', [LOCK, 'sh', '-ec', INSTALL, packageName], { DEBIAN_FRONTEND: 'noninteractive' });
}

/**
 * The path of a program, which is installed from the Debian package of the same name where it is missing.
 *
 * Errors: one sentence where it is missing and cannot be installed.
 */
export function findOrInstall(name: string): string {
  if (findProgram(name) === null && canInstall()) install(name);
  const path = findProgram(name);
  if (path === null) throw new Error(`The tests need ${name}: install it, or run them as root on Debian or Ubuntu.`);
  return path;
}

/** Whether a program can be run with these arguments, within 20 s. */
export function canRun(program: string, args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

/** Runs a program to its end, and returns what it wrote. Errors: it failed, with what it wrote of that. */
export function runOrThrow(program: string, args: string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (status === 0) return stdout.trim();
  throw new Error(`\`${program} ${args.join(' ')}\` failed: ${error?.message ?? stderr.trim()}`);
}

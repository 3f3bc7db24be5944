// Builds src/ and migrations/ into dist/. With --if-needed, only when a source is newer than the last build.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'dist', '.built');
const sources = [
  'src',
  'migrations',
  'scripts/bundle.mjs',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'nest-cli.json',
];

function newestChange(path) {
  const stats = statSync(path);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestChange(join(path, name))), stats.mtimeMs);
}

function isUpToDate() {
  if (!existsSync(stamp)) return false;
  const builtAt = statSync(stamp).mtimeMs;
  return sources.map((name) => join(root, name)).every((path) => existsSync(path) && newestChange(path) < builtAt);
}

function run(tool, ...args) {
  const script = join(root, 'node_modules', tool);
  if (!existsSync(script)) {
    console.error('The build tools are not installed. Run `npm ci` first.');
    process.exit(1);
  }
  const { status } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** Builds everything, or nothing where the last build is newer than every source and `ifNeeded` is set. */
export function build({ ifNeeded = false } = {}) {
  // An image has dist/ and no sources: what it carries is what it runs.
  if (ifNeeded && (!existsSync(join(root, 'src')) || isUpToDate())) return;
  // Not into what a command writes.
  console.error('building …');
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run('typescript/bin/tsc', '-p', 'migrations');
  run('@nestjs/cli/bin/nest.js', 'build');
  run('../scripts/bundle.mjs');
  writeFileSync(stamp, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build({ ifNeeded: process.argv.includes('--if-needed') });

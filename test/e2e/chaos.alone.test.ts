import { spawn } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');
const SECONDS = 60;
const FAULTS = 20;
/** One plan for everybody's tests: a failure is then of the change that is tested. Others are for `npm run chaos`. */
const SEED = '485';
/** A minute of load, what starts before and settles after it, and a machine that is four times as slow as it should be. */
const TIMEOUT_MS = 420_000;

/** Runs `npm run chaos`, and resolves to its end. CHAOS_SEED says with another plan than the usual one. */
function runChaos(): Promise<{ code: number | null; output: string }> {
  const { CHAOS_SEED = SEED, PATH = '', HOME = '' } = process.env;
  const args = [
    '--import',
    'tsx',
    'test/chaos/main.ts',
    '--seconds',
    String(SECONDS),
    '--faults',
    String(FAULTS),
    '--seed',
    CHAOS_SEED,
  ];
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { PATH, HOME }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => child.kill('SIGTERM'), TIMEOUT_MS - 30_000);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(giveUp);
      resolve({ code, output });
    });
  });
}

it(
  `every rule holds on five instances while ${FAULTS} faults befall them, the broker and the database`,
  async () => {
    const { code, output } = await runChaos();
    if (code !== 0) throw new Error(`npm run chaos ended with ${code ?? 'a signal'}:\n${output}`);
    const [summary = ''] = output.trim().split('\n').slice(-1);
    process.stdout.write(`  ${summary}\n`);
    expect(summary).toMatch(new RegExp(`^${FAULTS} faults, \\d+ rules hold; seed \\d+$`));
  },
  TIMEOUT_MS,
);

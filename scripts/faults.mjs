// npm run faults: shows that the tests can fail. It puts one fault after the other into a copy of what is built, runs the
// test that guards against it, and wants that to fail. Neither src/ nor dist/ is touched. It takes some minutes.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';
import typescript from 'typescript';
import { build } from './build.mjs';
import { FAULTS, TESTS } from '../test/faults/faults.mjs';

const root = join(import.meta.dirname, '..');
const TIMEOUT_MS = 240_000;
/** What a test run needs, besides what is built. */
const COPIED = ['dist', 'src', 'test', 'migrations', 'examples', 'package.json', 'jest.config.cjs'];

const only = process.argv.slice(2);
const wanted = only.length === 0 ? FAULTS : FAULTS.filter(({ name }) => only.some((part) => name.includes(part)));

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}

/** The built file with the fault in it. A fault must have exactly one place, or it is not the one that was meant. */
function withFault(text, { name, file, find, put }) {
  const places = text.split(find).length - 1;
  if (places !== 1) {
    throw new Error(
      `The fault "${name}" no longer applies: dist/${file} has ${places} places with the text\n${find}\nMend it in test/faults/faults.mjs.`,
    );
  }
  return text.replace(find, () => put);
}

function moduleOf(source) {
  const { ModuleKind, ScriptTarget } = typescript;
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2023 };
  return typescript.transpileModule(source, { compilerOptions }).outputText;
}

/** Runs one test; resolves to what became of it, and how long it took. */
async function run(folder, { file, project = 'e2e', only: name }) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const startedAt = performance.now();
  const jest = spawn(
    process.execPath,
    [
      join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
      ...['--selectProjects', project, '--runInBand', '--forceExit', '--runTestsByPath', file],
      ...(name === undefined ? [] : ['--testNamePattern', name]),
      ...['--json', `--outputFile=${report}`],
    ],
    // A few sequences find such a fault, and it need not be the shortest one.
    { cwd: folder, env: { ...process.env, MODEL_SEQUENCES: '40' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [jest.stdout, jest.stderr]) stream.on('data', (chunk) => (output += chunk));
  const timer = setTimeout(() => jest.kill('SIGKILL'), TIMEOUT_MS);
  await new Promise((resolve) => jest.on('close', resolve));
  clearTimeout(timer);
  const seconds = (performance.now() - startedAt) / 1_000;
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const failures = testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'failed'),
    );
    return { passed: numPassedTests, failed: numFailedTests, failures, seconds, output };
  } catch {
    return { passed: 0, failed: 0, failures: [], seconds, output };
  }
}

/** A test that could not even begin, or whose database or broker is missing, has caught nothing. */
function isCaught({ failures }) {
  return failures.some(({ failureMessages }) =>
    failureMessages.some((message) => !/beforeAll|ECONNREFUSED|Cannot find module|did not end within/.test(message)),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'booking-faults-'));
const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    remove();
    process.exit(1);
  });
}

async function main() {
  build({ ifNeeded: true });
  // Before anything is run: each of them must apply.
  for (const fault of FAULTS) withFault(readFileSync(join(root, 'dist', fault.file), 'utf8'), fault);
  for (const name of COPIED) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  // The one file that is built has no parts that a fault could be put into: the copy starts from its modules.
  writeFileSync(join(folder, 'dist', 'main.js'), moduleOf(readFileSync(join(root, 'src', 'main.ts'), 'utf8')));

  for (const name of new Set(wanted.map(({ caughtBy }) => caughtBy))) {
    const result = await run(folder, TESTS[name]);
    const isGreen = result.failed === 0 && result.passed > 0;
    console.log(`${isGreen ? '✓' : '✗'} without a fault: ${name} (${result.seconds.toFixed(0)} s)`);
    if (!isGreen) return fail(`${result.output}\n${name} fails without a fault: that must be mended first.`);
  }
  let caught = 0;
  for (const fault of wanted) {
    const path = join(folder, 'dist', fault.file);
    const sound = readFileSync(path, 'utf8');
    writeFileSync(path, withFault(sound, fault));
    const result = await run(folder, TESTS[fault.caughtBy]);
    writeFileSync(path, sound);
    const isIt = isCaught(result);
    if (isIt) caught += 1;
    const label = isIt ? `✓ ${fault.name}: caught by` : `✗ ${fault.name}: NOT caught by`;
    console.log(`${label} ${fault.caughtBy} (${result.seconds.toFixed(0)} s)`);
    if (!isIt) console.log(result.output.slice(-2_000));
  }
  console.log(`${caught} of ${wanted.length} faults caught`);
  if (caught !== wanted.length || wanted.length === 0) fail('A fault that no test notices can come back unnoticed.');
}

try {
  await main();
} catch (error) {
  fail(error.message);
} finally {
  remove();
}

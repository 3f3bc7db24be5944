// Writes what is in the image, sbom.cdx.json (CycloneDX), and checks that it says so: every production dependency of
// package-lock.json with its exact version, and nothing else. With --check only that package.json names exact versions.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const FILE = 'sbom.cdx.json';
const EXACT = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

const readJson = (file) => JSON.parse(readFileSync(join(root, file), 'utf8'));

function fail(...sentences) {
  for (const sentence of sentences) console.error(sentence);
  process.exit(1);
}

function checkVersions({ dependencies, devDependencies, optionalDependencies }) {
  const ranges = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    .filter(([, version]) => !EXACT.test(version))
    .map(([name, version]) => `package.json must name an exact version of ${name}, not ${version}.`);
  if (ranges.length > 0) fail(...ranges);
}

/** What `npm ci --omit=dev --omit=optional` installs, as `name@version`. */
function production({ packages }) {
  return Object.entries(packages)
    .filter(([path, { dev, optional, devOptional, link }]) => path !== '' && !dev && !optional && !devOptional && !link)
    .map(([path, { name, version }]) => `${name ?? path.slice(path.lastIndexOf('node_modules/') + 13)}@${version}`);
}

function write(manifest) {
  // Told to omit something, npm 11 also omits what is needed as well: what is not installed is left out below.
  const made = spawnSync('npm', ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (made.status !== 0) fail('npm sbom failed.');
  const document = JSON.parse(made.stdout);
  const own = document.metadata.component['bom-ref'];
  if (own !== `${manifest.name}@${manifest.version}`) fail(`The SBOM is of ${own}.`);
  const expected = new Set(production(readJson('package-lock.json')));
  const isInstalled = ({ name, version }) => expected.has(`${name}@${version}`);
  document.components = document.components.filter(isInstalled);
  const refs = new Set([own, ...document.components.map((component) => component['bom-ref'])]);
  document.dependencies = document.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => refs.has(each)) }));
  const listed = new Set(document.components.map(({ name, version }) => `${name}@${version}`));
  const missing = [...expected].filter((each) => !listed.has(each));
  if (missing.length > 0) fail(`The SBOM lacks ${missing.join(', ')}.`);
  // npm takes the folder's name for it.
  document.metadata.component.name = manifest.name;
  writeFileSync(join(root, FILE), `${JSON.stringify(document, null, 2)}\n`);
  console.log(`wrote ${FILE}: ${listed.size} packages`);
}

const manifest = readJson('package.json');
checkVersions(manifest);
if (!process.argv.includes('--check')) write(manifest);

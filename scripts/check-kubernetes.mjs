// Checks deploy/kubernetes without a cluster: every object against the types of the Kubernetes API, in which an unknown field
// is a mistake as well, and what one file says against what another says.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';

const root = join(import.meta.dirname, '..');
const folder = process.argv[2] ?? join(root, 'deploy', 'kubernetes');
/** Of a stop, after SHUTDOWN_DELAY_SECONDS. */
const STOP_SECONDS = 10;
/** Where the types of a group of the API are. */
const GROUPS = { apps: 'apps', autoscaling: 'autoscaling', batch: 'batch', policy: 'policy', core: 'core' };
const mistakes = [];

const kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8'));
const files = readdirSync(folder).filter((name) => name !== 'kustomization.yaml');
const named = kustomization.resources ?? [];
for (const name of files) if (!named.includes(name)) mistakes.push(`kustomization.yaml does not name ${name}`);
for (const name of named)
  if (!files.includes(name)) mistakes.push(`kustomization.yaml names ${name}, which is not there`);

const objects = named
  .filter((name) => files.includes(name))
  .flatMap((name) =>
    parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map((document, index) => {
      for (const { message } of document.errors) mistakes.push(`${name}: ${message}`);
      const object = document.toJS();
      return { where: `${name}, ${object?.kind ?? `object ${index + 1}`}`, ...object };
    }),
  );
const ofKind = (kind) => objects.filter((object) => object.kind === kind);
const find = (kind, name) => ofKind(kind).find(({ metadata }) => metadata?.name === name);

/** One TypeScript source that assigns every object to the type of its kind. */
function checkTypes() {
  const typed = objects.flatMap(({ where, ...object }) => {
    const [group, version] = object.apiVersion?.includes('/')
      ? object.apiVersion.split('/')
      : ['core', object.apiVersion];
    if (GROUPS[group] !== undefined) return [{ where, object, type: `${GROUPS[group]}/${version}` }];
    mistakes.push(`${where}: apiVersion ${object.apiVersion} is not known here`);
    return [];
  });
  const lines = typed.map(
    ({ object, type }, index) =>
      `export const o${index}: import('kubernetes-types/${type}').${object.kind} = ${JSON.stringify(object)};`,
  );
  const source = join(root, 'kubernetes-objects.ts');
  const options = { strict: true, noEmit: true, types: [], moduleResolution: ts.ModuleResolutionKind.Bundler };
  options.module = ts.ModuleKind.ESNext;
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  const isOurs = (name) => relative(source, name) === '';
  host.fileExists = (name) => isOurs(name) || fileExists.call(host, name);
  host.readFile = (name) => (isOurs(name) ? lines.join('\n') : readFile.call(host, name));
  host.getSourceFile = (name, ...rest) =>
    isOurs(name) ? ts.createSourceFile(name, lines.join('\n'), ...rest) : getSourceFile.call(host, name, ...rest);
  const program = ts.createProgram([source], options, host);
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const line = file === undefined ? -1 : file.getLineAndCharacterOfPosition(start).line;
    mistakes.push(`${typed[line]?.where ?? 'types'}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
  }
}

function isSelectedBy(selector = {}, labels = {}) {
  return Object.keys(selector).length > 0 && Object.entries(selector).every(([key, value]) => labels[key] === value);
}

function checkAgreement() {
  const configuration = ofKind('ConfigMap').map(({ metadata }) => metadata?.name);
  const variables = new Set(readFileSync(join(root, '.env.example'), 'utf8').match(/^# ([A-Z_]+)=/gm));
  const expectVariable = (where, name) => {
    if (!variables.has(`# ${name}=`)) mistakes.push(`${where}: the service knows no ${name}, or .env.example does not`);
  };
  const settings = Object.assign({}, ...ofKind('ConfigMap').map(({ data }) => data));
  for (const name of Object.keys(settings)) expectVariable('ConfigMap', name);

  const pods = [...ofKind('Deployment'), ...ofKind('Job')];
  for (const { where, kind, spec } of pods) {
    const { metadata, spec: pod } = spec?.template ?? {};
    if (kind === 'Deployment' && !isSelectedBy(spec.selector?.matchLabels, metadata?.labels)) {
      mistakes.push(`${where}: its selector does not select its pods`);
    }
    const graceSeconds = Number(settings.SHUTDOWN_DELAY_SECONDS ?? 0) + STOP_SECONDS;
    if (kind === 'Deployment' && !(pod.terminationGracePeriodSeconds > graceSeconds)) {
      mistakes.push(
        `${where}: terminationGracePeriodSeconds must be more than ${graceSeconds}: the delay and the stop`,
      );
    }
    const scraped = metadata?.annotations?.['prometheus.io/port'];
    if (kind === 'Deployment' && scraped !== settings.METRICS_PORT) {
      mistakes.push(`${where}: prometheus.io/port must be METRICS_PORT`);
    }
    const ports = (pod?.containers ?? []).flatMap(({ ports: own }) => own ?? []);
    if (scraped !== undefined && !ports.some(({ containerPort }) => String(containerPort) === scraped)) {
      mistakes.push(`${where}: no container has the port ${scraped} of prometheus.io/port`);
    }
    for (const spread of pod?.topologySpreadConstraints ?? []) {
      if (!isSelectedBy(spread.labelSelector?.matchLabels, metadata?.labels)) {
        mistakes.push(`${where}: a topologySpreadConstraint does not select its pods`);
      }
    }
    for (const container of pod?.containers ?? [])
      checkContainer(where, kind, container, configuration, expectVariable);
  }
  for (const { where, metadata } of objects) {
    const label = metadata?.labels?.['app.kubernetes.io/name'];
    if (label !== undefined && label !== metadata.name) mistakes.push(`${where}: its name and its label differ`);
  }
  for (const { where, spec } of [...ofKind('Service'), ...ofKind('PodDisruptionBudget')]) {
    const selector = spec?.selector?.matchLabels ?? spec?.selector;
    const selected = pods.filter((each) => isSelectedBy(selector, each.spec?.template?.metadata?.labels));
    if (selected.length !== 1)
      mistakes.push(`${where}: its selector selects the pods of ${selected.length} objects, not of 1`);
    const ports = selected.flatMap((each) => each.spec.template.spec.containers.flatMap(({ ports: own }) => own ?? []));
    for (const { targetPort } of spec?.ports ?? []) {
      if (!ports.some(({ name, containerPort }) => targetPort === name || targetPort === containerPort)) {
        mistakes.push(`${where}: no container has the port ${targetPort}`);
      }
    }
  }
  for (const { where, spec } of ofKind('HorizontalPodAutoscaler')) {
    const { kind, name } = spec?.scaleTargetRef ?? {};
    const target = find(kind, name);
    if (target === undefined) mistakes.push(`${where}: there is no ${kind} ${name} to scale`);
    else if (target.spec?.replicas !== undefined)
      mistakes.push(`${where}: ${kind} ${name} must not say replicas as well`);
  }
}

function checkContainer(where, kind, container, configuration, expectVariable) {
  const { securityContext = {}, ports = [], env = [], envFrom = [], image, resources } = container;
  if (!(kustomization.images ?? []).some(({ name }) => name === image)) {
    mistakes.push(`${where}: kustomization.yaml gives the image ${image} no tag`);
  }
  if (securityContext.readOnlyRootFilesystem !== true || securityContext.allowPrivilegeEscalation !== false) {
    mistakes.push(`${where}: the container must have a read-only file system and must not gain privileges`);
  }
  if (resources?.requests?.cpu === undefined || resources.limits?.memory === undefined) {
    mistakes.push(`${where}: the container must say what CPU it needs and what memory it may use`);
  }
  for (const { name, value } of env) {
    expectVariable(where, name);
    if (name.endsWith('_URL') && value !== undefined) mistakes.push(`${where}: ${name} must come from a Secret`);
  }
  for (const { configMapRef } of envFrom) {
    if (configMapRef !== undefined && !configuration.includes(configMapRef.name)) {
      mistakes.push(`${where}: there is no ConfigMap ${configMapRef.name}`);
    }
  }
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    const port = container[probe]?.httpGet?.port;
    if (kind === 'Deployment' && !ports.some(({ name, containerPort }) => port === name || port === containerPort)) {
      mistakes.push(`${where}: ${probe} must ask a port that the container has`);
    }
  }
}

checkTypes();
checkAgreement();
for (const mistake of mistakes) console.error(`✗ ${mistake}`);
if (mistakes.length > 0) process.exit(1);
console.log(`deploy/kubernetes: ${objects.length} objects in ${files.length} files are as they must be`);

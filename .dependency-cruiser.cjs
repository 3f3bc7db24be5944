// Imports go one way: waitlist, bookings, retention → seating → conferences, users → messaging, database, tracing, config, common.
const layers = [
  ['common'],
  ['config'],
  ['database', 'tracing'],
  ['access', 'http', 'messaging'],
  ['users', 'conferences'],
  ['seating'],
  ['bookings', 'waitlist', 'retention', 'metrics'],
];

/** What a layer must not import: the layers above it, the commands, and what puts them together. */
const upward = layers.map((layer, index) => ({
  name: `${layer.join('-and-')}-imports-downward`,
  severity: 'error',
  from: { path: `^src/(${layer.join('|')})/` },
  to: { path: `^src/(${[...layers.slice(index + 1).flat(), 'health', 'cli'].join('|')})/|^src/[^/]+\\.ts$` },
}));

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'rules-import-no-framework',
      severity: 'error',
      from: { path: '^src/seating/(rules|hall|model|refusals)\\.ts$' },
      to: { pathNot: '^src/seating/(rules|hall|model|refusals)\\.ts$' },
    },
    {
      name: 'the-environment-is-parsed-by-a-pure-function',
      severity: 'error',
      from: { path: '^src/config/environment\\.ts$' },
      to: { path: '.' },
    },
    {
      name: 'only-metrics-know-prometheus',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/metrics/' },
      to: { path: 'node_modules/prom-client/' },
    },
    {
      name: 'metrics-are-loaded-where-asked-for',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/metrics/' },
      to: { path: '^src/metrics/', dynamic: false },
    },
    {
      name: 'only-tracing-knows-open-telemetry',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/tracing/open-telemetry\\.ts$' },
      to: { path: '@opentelemetry/' },
    },
    {
      name: 'open-telemetry-is-loaded-when-it-is-asked-for',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/tracing/open-telemetry\\.ts$', dynamic: false },
    },
    { name: 'nothing-from-tests', severity: 'error', from: { path: '^(src|migrations)/' }, to: { path: '^test/' } },
    {
      name: 'only-what-is-installed-for-production',
      severity: 'error',
      from: { path: '^(src|migrations)/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    ...upward,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};

// Everything is compiled to CommonJS by swc, packages included: native ESM in Jest fails on CommonJS packages that
// require ESM-only ones.
const shared = {
  testEnvironment: 'node',
  transform: {
    '^.+\\.(ts|js|mjs)$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          keepClassNames: true,
        },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  transformIgnorePatterns: [],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1', '^#migrations$': '<rootDir>/migrations/index.ts' },
  extensionsToTreatAsEsm: [],
};

/** Tests that need PostgreSQL and RabbitMQ: both are started once for the whole run, and ended after it. */
const real = {
  ...shared,
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};

/** Files that measure time say so by their name: they run one by one, with nothing beside them. */
const ALONE = '.alone.test.ts';

const besideOthers = (folder) => ({
  ...real,
  displayName: folder,
  testMatch: [`<rootDir>/test/${folder}/**/*.test.ts`],
  testPathIgnorePatterns: [`${ALONE.replaceAll('.', '\\.')}$`],
});

module.exports = {
  testTimeout: 60_000,
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/{src,test,bench}/**/*.spec.ts'] },
    besideOthers('integration'),
    besideOthers('races'),
    besideOthers('e2e'),
    {
      ...real,
      displayName: 'alone',
      testMatch: [`<rootDir>/test/**/*${ALONE}`],
      runner: '<rootDir>/test/support/alone-runner.cjs',
    },
  ],
};

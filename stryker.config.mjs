// Mutation tests of the rules, `npm run mutate`: each change of the code that no test notices is a test that is missing.

// With a fault in the rules the first hundreds of random sequences find it, or none does.
process.env.RULES_SEQUENCES = '400';

/** @type {import('@stryker-mutator/api/core').PartialStrykerOptions} */
export default {
  mutate: ['src/seating/{rules,hall,model,refusals,lane}.ts'],
  testRunner: 'jest',
  jest: { projectType: 'custom', configFile: 'jest.mutation.cjs' },
  plugins: ['@stryker-mutator/jest-runner'],
  coverageAnalysis: 'perTest',
  concurrency: 2,
  // A mutant that never ends is told from a machine that is busy.
  timeoutMS: 15_000,
  thresholds: { high: 100, low: 95, break: 90 },
  reporters: ['clear-text', 'progress', 'html', 'json'],
  htmlReporter: { fileName: 'reports/mutation/mutation.html' },
  jsonReporter: { fileName: 'reports/mutation/mutation.json' },
  tempDirName: '.stryker-tmp',
  cleanTempDir: 'always',
};

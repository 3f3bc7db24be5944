const { projects } = require('./jest.config.cjs');

// The unit tests of the rules and nothing else: with `projects` in it, every mutant would start a PostgreSQL and a broker.
module.exports = {
  ...projects.find(({ displayName }) => displayName === 'unit'),
  testMatch: ['<rootDir>/src/seating/*.spec.ts'],
};

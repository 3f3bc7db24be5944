const { default: TestRunner } = require('jest-runner');

/** Runs its files one by one. Jest finishes one runner before it begins the next, so nothing else runs beside them. */
module.exports = class AloneRunner extends TestRunner {
  isSerial = true;
};

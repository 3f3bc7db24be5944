/* global __dirname */
// Jest does not apply moduleNameMapper to globalSetup and globalTeardown. This does the same for them.
const Module = require('node:module');
const { dirname, resolve } = require('node:path');

const migrations = resolve(__dirname, '../../migrations/index.ts');

const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (request, parent, ...rest) {
  if (request === '#migrations') return migrations;
  if (/^\.{1,2}\/.*\.js$/.test(request) && parent?.filename?.endsWith('.ts')) {
    return resolve(dirname(parent.filename), `${request.slice(0, -3)}.ts`);
  }
  return resolveFilename.call(this, request, parent, ...rest);
};

import { existsSync } from 'node:fs';
import { type Environment, EnvironmentError, parseEnvironment, type Purpose } from './environment.js';

/**
 * The settings of this process: its environment, and `.env` in the working directory for what the environment leaves open.
 * Where they are not valid it says every mistake at once and ends the process with exit code 1.
 */
export function loadEnvironment(purpose: Purpose): Environment {
  if (existsSync('.env')) process.loadEnvFile('.env');
  try {
    return parseEnvironment(process.env, purpose);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

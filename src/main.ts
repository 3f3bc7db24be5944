import { resolve } from 'node:path';
import { createLogger } from './common/logger.js';
import { loadEnvironment } from './config/load.js';
import { runService } from './service.js';

const environment = loadEnvironment('service');
await runService(environment, createLogger(environment.logLevel), resolve('.data'));

import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { Database } from '../database/database.js';
import { databaseUnavailable } from '../database/failures.js';
import { HealthController } from './health.controller.js';

/** Until the database has been there and migrated, there is nothing to serve but the health. */
export class DatabaseGuard implements CanActivate {
  constructor(private readonly database: Pick<Database, 'isOpen'>) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.database.isOpen || context.getClass() === HealthController) return true;
    throw databaseUnavailable();
  }
}

import { type DynamicModule, Module } from '@nestjs/common';
import { BookingsModule } from './bookings/bookings.module.js';
import { ConferencesModule } from './conferences/conferences.module.js';
import { ConfigModule } from './config/config.module.js';
import type { Environment } from './config/environment.js';
import { DatabaseModule } from './database/database.module.js';
import { HealthModule } from './health/health.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { UsersModule } from './users/users.module.js';
import { WaitlistModule } from './waitlist/waitlist.module.js';

/** Which modules a role has: everybody has health; a worker has no API; an API-only instance handles no timers. */
@Module({})
export class AppModule {
  static for(environment: Environment): DynamicModule {
    const api = environment.role === 'worker' ? [] : [UsersModule, ConferencesModule, BookingsModule];
    return {
      module: AppModule,
      imports: [
        ConfigModule.with(environment),
        DatabaseModule.connected(),
        HealthModule,
        WaitlistModule,
        RetentionModule,
        ...api,
      ],
    };
  }
}

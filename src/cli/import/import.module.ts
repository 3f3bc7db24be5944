import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Conference, ConferenceTopic } from '../../conferences/conference.entity.js';
import { ConfigModule } from '../../config/config.module.js';
import type { Environment } from '../../config/environment.js';
import { DatabaseModule } from '../../database/database.module.js';
import { MessagingModule } from '../../messaging/messaging.module.js';
import { ConferenceImporter } from './conference-importer.js';

@Module({
  imports: [TypeOrmModule.forFeature([Conference, ConferenceTopic]), MessagingModule],
  providers: [ConferenceImporter],
})
export class ImportModule {
  /** Sets timers, and consumes none. Its data source is still to be initialized. */
  static with(environment: Environment): DynamicModule {
    return {
      module: ImportModule,
      imports: [ConfigModule.with({ ...environment, role: 'api' }), DatabaseModule.connected()],
    };
  }
}

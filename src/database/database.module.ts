import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { dataSourceOptions } from './data-source.js';
import { Database } from './database.js';

/** The data source and its repositories. {@link Database.connect} opens it, when the application is up. */
@Module({})
export class DatabaseModule {
  static connected(): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          inject: [ENVIRONMENT],
          useFactory: ({ database }: Environment) => ({
            ...dataSourceOptions({ ...database, url: database.url ?? '' }),
            autoLoadEntities: true,
            // A database that is away at start must not keep the process from saying so over HTTP.
            manualInitialization: true,
          }),
        }),
      ],
      providers: [Database],
      exports: [Database],
      global: true,
    };
  }
}

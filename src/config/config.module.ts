import { type DynamicModule, Global, Module } from '@nestjs/common';
import type { Environment } from './environment.js';

/** Injection token of the parsed {@link Environment}. */
export const ENVIRONMENT = Symbol('ENVIRONMENT');

@Global()
@Module({})
export class ConfigModule {
  static with(environment: Environment): DynamicModule {
    return {
      module: ConfigModule,
      providers: [{ provide: ENVIRONMENT, useValue: environment }],
      exports: [ENVIRONMENT],
    };
  }
}

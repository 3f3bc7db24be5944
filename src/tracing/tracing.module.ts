import { Logger, Module } from '@nestjs/common';
import { TRACER, type Tracer } from '../common/spans.js';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';

/** The tracer, where traces are asked for; else null, and nothing of OpenTelemetry is loaded. */
@Module({
  providers: [
    {
      provide: TRACER,
      inject: [ENVIRONMENT],
      useFactory: async ({ traces }: Environment): Promise<Tracer | null> => {
        if (traces === null) return null;
        const { startTracing } = await import('./open-telemetry.js');
        return startTracing(traces, new Logger('Traces'));
      },
    },
  ],
  exports: [TRACER],
})
export class TracingModule {}

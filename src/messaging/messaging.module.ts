import { Logger, Module, type INestApplication } from '@nestjs/common';
import type { CustomStrategy } from '@nestjs/microservices';
import { ENVIRONMENT } from '../config/config.module.js';
import type { Environment } from '../config/environment.js';
import { TracingModule } from '../tracing/tracing.module.js';
import { Acknowledger } from './acknowledger.js';
import { TimerPublisher } from './timer-publisher.js';
import { TimerServer } from './timer-server.js';
import { TimerTopology } from './topology.js';

@Module({
  imports: [TracingModule],
  providers: [
    TimerPublisher,
    Acknowledger,
    {
      provide: TimerServer,
      inject: [ENVIRONMENT, Acknowledger],
      useFactory: ({ broker, offers, role }: Environment, acknowledger: Acknowledger): TimerServer | null =>
        broker === null || role === 'api'
          ? null
          : new TimerServer(broker, new TimerTopology(broker, offers.windowMs), acknowledger),
    },
  ],
  exports: [TimerPublisher, Acknowledger],
})
export class MessagingModule {}

/** Binds the timer handlers to the broker where this instance consumes timers. Call it before `app.listen`. */
export function connectTimers(app: INestApplication): void {
  const server = app.get<TimerServer | null>(TimerServer);
  if (server !== null) app.connectMicroservice<CustomStrategy>({ strategy: server }, { inheritAppConfig: false });
}

/** Begins to consume timers, as soon as the broker is there. Call it after `app.listen`. Returns at once. */
export function startTimers(app: INestApplication): void {
  app.startAllMicroservices().catch((error: unknown) => new Logger(MessagingModule.name).error(error));
}

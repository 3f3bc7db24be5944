import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { MessagingModule } from '../messaging/messaging.module.js';
import { Booking } from '../seating/booking.entity.js';
import { SeatingModule } from '../seating/seating.module.js';
import { TracingModule } from '../tracing/tracing.module.js';
import { Sweep } from './sweep.js';
import { TimersController } from './timers.controller.js';

@Module({
  imports: [TypeOrmModule.forFeature([Booking, Conference]), MessagingModule, SeatingModule, TracingModule],
  controllers: [TimersController],
  providers: [Sweep],
})
export class WaitlistModule {}

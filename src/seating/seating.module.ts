import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { MessagingModule } from '../messaging/messaging.module.js';
import { User } from '../users/user.entity.js';
import { Booking } from './booking.entity.js';
import { BookingTransition } from './booking-transition.entity.js';
import { BoxOffice } from './box-office.js';
import { IdempotencyCleanup } from './idempotency-cleanup.js';
import { SeatingLocks } from './seating-locks.js';
import { SeatingTransaction } from './seating-transaction.js';

@Module({
  imports: [MessagingModule, TypeOrmModule.forFeature([Conference, User, Booking, BookingTransition])],
  providers: [SeatingLocks, SeatingTransaction, BoxOffice, IdempotencyCleanup],
  exports: [BoxOffice, TypeOrmModule],
})
export class SeatingModule {}

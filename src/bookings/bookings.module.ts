import { Module } from '@nestjs/common';
import { SeatingModule } from '../seating/seating.module.js';
import { UsersModule } from '../users/users.module.js';
import { BookingsController } from './bookings.controller.js';
import { BookingsService } from './bookings.service.js';
import { ConferenceList } from './conference-list.js';

@Module({
  imports: [SeatingModule, UsersModule],
  controllers: [BookingsController],
  providers: [BookingsService, ConferenceList],
})
export class BookingsModule {}

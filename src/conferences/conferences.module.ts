import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MessagingModule } from '../messaging/messaging.module.js';
import { Conference, ConferenceTopic } from './conference.entity.js';
import { ConferencesController } from './conferences.controller.js';
import { ConferencesService } from './conferences.service.js';

@Module({
  imports: [MessagingModule, TypeOrmModule.forFeature([Conference, ConferenceTopic])],
  controllers: [ConferencesController],
  providers: [ConferencesService],
  exports: [ConferencesService],
})
export class ConferencesModule {}

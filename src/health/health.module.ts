import { Module } from '@nestjs/common';
import { MessagingModule } from '../messaging/messaging.module.js';
import { Drain } from './drain.js';
import { HealthController } from './health.controller.js';

@Module({ imports: [MessagingModule], controllers: [HealthController], providers: [Drain], exports: [Drain] })
export class HealthModule {}

import { Module } from '@nestjs/common';
import { Archivist } from './archivist.js';
import { Retention } from './retention.js';

@Module({ providers: [Archivist, Retention], exports: [Archivist] })
export class RetentionModule {}

import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Access } from '../access/access.js';
import { ErrorDto, RETRY_AFTER, UNREADABLE } from '../common/error-responses.js';
import { Database } from '../database/database.js';
import { type BrokerState, TimerPublisher } from '../messaging/timer-publisher.js';
import { Drain } from './drain.js';

const BROKER_STATES: BrokerState[] = ['up', 'down', 'none'];

class LiveDto {
  @ApiProperty({ example: 'ok' })
  status!: 'ok';
}

class ReadyDto {
  @ApiProperty({ example: 'ok' })
  status!: 'ok';

  @ApiProperty({ example: 'up' })
  database!: 'up';

  @ApiProperty({
    enum: BROKER_STATES,
    example: 'none',
    description: 'Without it the sweep keeps time: nobody is unready.',
  })
  broker!: BrokerState;
}

class NotReadyDto extends ErrorDto {
  @ApiProperty({ enum: ['up', 'down'], example: 'down' })
  database!: 'up' | 'down';

  @ApiProperty({ enum: BROKER_STATES, example: 'none' })
  broker!: BrokerState;
}

@ApiTags('health')
@ApiResponse({ status: 400, type: ErrorDto, description: UNREADABLE })
@Controller('health')
export class HealthController {
  constructor(
    private readonly database: Database,
    private readonly publisher: TimerPublisher,
    private readonly drain: Drain,
  ) {}

  @Get('live')
  @ApiOperation({ summary: 'Is the process alive?', description: 'Asks nobody else: whoever is dead does not answer.' })
  @ApiOkResponse({ type: LiveDto, description: 'It is.' })
  @Access('open')
  live(): LiveDto {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({
    summary: 'May it be sent requests?',
    description: 'Ready where the database is there and migrated, and the process is not stopping.',
  })
  @ApiOkResponse({ type: ReadyDto, description: 'It may.' })
  @ApiResponse({ status: 503, type: NotReadyDto, description: 'Not now.', headers: RETRY_AFTER })
  @Access('open')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadyDto | NotReadyDto> {
    const isDatabaseUp = this.drain.isDraining || (await this.database.isReady());
    const broker = this.publisher.state;
    // The signal may have come while the database was asked: what is answered after it must say so.
    if (this.drain.isDraining) {
      return this.notReady(reply, {
        message: 'The service is stopping: ask another instance',
        code: 'STOPPING',
        database: 'up',
        broker,
      });
    }
    if (isDatabaseUp) return { status: 'ok', database: 'up', broker };
    return this.notReady(reply, {
      message: 'The database cannot be reached, or is not migrated yet: try again shortly',
      code: 'DATABASE_UNAVAILABLE',
      database: 'down',
      broker,
    });
  }

  private notReady(reply: FastifyReply, body: NotReadyDto): NotReadyDto {
    void reply.status(503).header('Retry-After', '1');
    return body;
  }
}

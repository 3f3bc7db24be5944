import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Access } from '../access/access.js';
import { ApiErrors } from '../common/error-responses.js';
import { parseInstant } from '../common/instant.js';
import { AddConferenceDto, ConferenceAddedDto, ConferenceDto, ListConferencesDto } from './conference.dto.js';
import { ConferencesService } from './conferences.service.js';

@ApiTags('conferences')
@Controller()
export class ConferencesController {
  constructor(private readonly conferences: ConferencesService) {}

  @Post('conference')
  @ApiOperation({ summary: 'Add a conference', description: 'Publishes a conference with a limited number of slots.' })
  @ApiCreatedResponse({ type: ConferenceAddedDto, description: 'The conference was added.' })
  @ApiErrors({ 400: 'A field is wrong, or the conference exists.' }, true)
  @Access('organizers')
  async add(
    @Body() { name, location, start, end, slots, topics }: AddConferenceDto,
    @Req() { cause }: FastifyRequest,
  ): Promise<ConferenceAddedDto> {
    const [startsAt, endsAt] = [parseInstant(start) ?? NaN, parseInstant(end) ?? NaN];
    const added = await this.conferences.add({ name, location, startsAt, endsAt, slots, topics }, cause);
    return Object.assign({ message: 'conference added successfully' }, added);
  }

  @Get('conferences')
  @ApiOperation({
    summary: 'List upcoming conferences',
    description:
      'The conferences that have not started, soonest first, in pages. Another page follows where there is a `Link` header ' +
      'with `rel="next"`.',
  })
  @ApiOkResponse({
    type: [ConferenceDto],
    description: 'One page.',
    headers: { Link: { description: 'Where the next page is', schema: { type: 'string' } } },
  })
  @ApiErrors({ 400: 'A parameter is wrong.' }, false)
  @Access('open')
  async list(
    @Query() { topic, after, limit }: ListConferencesDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ConferenceDto[]> {
    // One more than asked for tells whether another page follows.
    const found = await this.conferences.listUpcoming(topic ?? null, after ?? null, limit + 1);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    if (last !== undefined && found.length > limit) {
      const next = new URLSearchParams({
        ...(topic === undefined ? {} : { topic }),
        after: last.name,
        limit: String(limit),
      });
      void reply.header('Link', `</conferences?${next.toString()}>; rel="next"`);
    }
    return page;
  }

  @Get('conference/:name')
  @ApiOperation({ summary: 'Look up a conference', description: 'One conference and its slots, also after its start.' })
  @ApiParam({ name: 'name', example: 'Systems Day' })
  @ApiOkResponse({ type: ConferenceDto, description: 'The conference.' })
  @ApiErrors({ 404: 'There is no such conference.' }, false)
  @Access('open')
  get(@Param('name') name: string): Promise<ConferenceDto> {
    return this.conferences.get(name);
  }
}

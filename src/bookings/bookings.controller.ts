import { Body, Controller, Get, HttpCode, Param, Post, Query, Res, StreamableFile } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Access } from '../access/access.js';
import { type Caller, CalledBy } from '../access/caller.js';
import { parseBookingId } from '../common/booking-id.js';
import { ApiErrors } from '../common/error-responses.js';
import type { RequestCommand } from '../seating/model.js';
import { MessageDto } from '../users/user.dto.js';
import {
  BookDto,
  BookedDto,
  BookingDto,
  CancelDto,
  ConferenceBookingDto,
  ConfirmDto,
  TransitionDto,
} from './booking.dto.js';
import { BookingsService } from './bookings.service.js';
import { ConferenceList } from './conference-list.js';
import { ApiIdempotencyKey, IdempotencyKey, REPLAYED } from './idempotency-key.js';
import { LIMIT_MOST, parseListQuery } from './list-query.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const NO_BOOKING = 'There is no such booking, or it is another’s.';

/** Organizers act in the place of others, and it is written down. */
function byOrganizer(caller: Caller): { organizerId?: string } {
  return caller.kind === 'organizer' ? { organizerId: caller.userId } : {};
}

@ApiTags('bookings')
@Controller()
export class BookingsController {
  constructor(
    private readonly bookings: BookingsService,
    private readonly list: ConferenceList,
  ) {}

  @Post('book')
  @ApiOperation({
    summary: 'Book a conference',
    description: 'Confirmed at once while a slot is free; else the booking takes the last place in the line.',
  })
  @ApiCreatedResponse({ type: BookedDto, description: 'Booked, or added to the waitlist.' })
  @ApiErrors(
    {
      400: 'A field is wrong; no such user or conference; it has started; booked already; an overlapping booking; too many.',
    },
    true,
  )
  @ApiIdempotencyKey()
  @Access('own user, or organizers')
  book(
    @Body() { user_id, name }: BookDto,
    @CalledBy() caller: Caller,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const command = { kind: 'book', userId: user_id, conferenceName: name, ...byOrganizer(caller) } as const;
    return this.carryOut(command, caller, key, reply);
  }

  @Get('booking/:booking_id')
  @ApiOperation({
    summary: 'Look up a booking',
    description: 'Its status, its open offer, and its live rank in the line.',
  })
  @ApiParam({ name: 'booking_id', example: 1, schema: { type: 'integer', minimum: 1, example: 1 } })
  @ApiOkResponse({ type: BookingDto, description: 'The booking.' })
  @ApiErrors({ 400: 'booking_id is no whole number.', 404: NO_BOOKING }, false)
  @Access('signed in')
  async get(@Param('booking_id') bookingId: string, @CalledBy() caller: Caller): Promise<BookingDto> {
    return this.bookings.get(parseBookingId(bookingId), caller);
  }

  @Get('booking/:booking_id/history')
  @ApiOperation({ summary: 'Tell what has happened to a booking, and why', description: 'Every step, oldest first.' })
  @ApiParam({ name: 'booking_id', example: 1, schema: { type: 'integer', minimum: 1, example: 1 } })
  @ApiOkResponse({ type: [TransitionDto], description: 'The steps.' })
  @ApiErrors({ 400: 'booking_id is no whole number.', 404: NO_BOOKING }, false)
  @Access('signed in')
  history(@Param('booking_id') bookingId: string, @CalledBy() caller: Caller): Promise<TransitionDto[]> {
    return this.bookings.history(parseBookingId(bookingId), caller);
  }

  @Post('confirm')
  @HttpCode(200)
  @ApiOperation({ summary: 'Confirm an offer', description: 'The owner takes the slot that is held for this booking.' })
  @ApiOkResponse({
    type: MessageDto,
    description: 'Confirmed.',
    example: { message: 'Booking confirmed successfully' },
  })
  @ApiErrors(
    {
      400: 'A field is wrong; no open offer; its deadline has passed; the conference has started; another user’s booking.',
      404: 'There is no such booking.',
    },
    true,
  )
  @ApiIdempotencyKey()
  @Access('own user')
  confirm(
    @Body() { booking_id, user_id }: ConfirmDto,
    @CalledBy() caller: Caller,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    return this.carryOut({ kind: 'confirm', bookingId: booking_id, userId: user_id }, caller, key, reply);
  }

  @Post('cancel')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Cancel a booking',
    description:
      'Any active booking can be canceled; canceling an offer declines it. The slot goes to the next in line.',
  })
  @ApiOkResponse({ type: MessageDto, description: 'Canceled.', example: { message: 'Booking canceled successfully' } })
  @ApiErrors(
    {
      400: 'A field is wrong; canceled already; another user’s booking; a conference long over.',
      404: 'There is no such booking.',
    },
    true,
  )
  @ApiIdempotencyKey()
  @Access('own user, or organizers')
  cancel(
    @Body() { booking_id, user_id }: CancelDto,
    @CalledBy() caller: Caller,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    // Attendees cancel as themselves, whether or not they say so.
    const userId = caller.kind === 'attendee' ? caller.userId : (user_id ?? null);
    const command = { kind: 'cancel', bookingId: booking_id, userId, ...byOrganizer(caller) } as const;
    return this.carryOut(command, caller, key, reply);
  }

  @Get('conference/:name/bookings')
  @ApiOperation({
    summary: 'List the bookings of a conference',
    description:
      'Oldest first: all of them, or with `limit` one page; then another page follows where there is a `Link` header with ' +
      '`rel="next"`. A long list is read while it is sent, so a booking is shown as it is at that moment; if the list cannot ' +
      'be read to its end the connection is closed before the end of the answer.',
  })
  @ApiParam({ name: 'name', example: 'Systems Day' })
  @ApiQuery({
    name: 'after',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    description: 'Only bookings with a higher `booking_id`: those that follow the last one of the page before.',
  })
  @ApiQuery({
    name: 'limit',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: LIMIT_MOST },
    description: 'At most so many bookings; without it all of them.',
  })
  @ApiOkResponse({
    type: [ConferenceBookingDto],
    description: 'The bookings.',
    headers: { Link: { description: 'Where the next page is', schema: { type: 'string' } } },
  })
  @ApiErrors({ 400: 'A parameter is wrong.', 404: 'There is no such conference.' }, false)
  @Access('organizers')
  async listOfConference(
    @Param('name') name: string,
    @Query('after') afterText: string | undefined,
    @Query('limit') limitText: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | StreamableFile> {
    const { after, limit } = parseListQuery(afterText, limitText);
    if (limit === null) {
      return new StreamableFile(await this.list.stream(name, after ?? 0, reply.request.cause), { type: JSON_TYPE });
    }
    const { text, next } = await this.list.page(name, after ?? 0, limit);
    if (next !== null) {
      const path = `/conference/${encodeURIComponent(name)}/bookings`;
      void reply.header('Link', `<${path}?after=${next}&limit=${limit}>; rel="next"`);
    }
    void reply.header('Content-Type', JSON_TYPE);
    return `[${text}]`;
  }

  @Get('user/:user_id/bookings')
  @ApiOperation({ summary: 'List the bookings of a user', description: 'All of them, oldest first.' })
  @ApiParam({ name: 'user_id', example: 'ada1' })
  @ApiOkResponse({ type: [BookingDto], description: 'The bookings.' })
  @ApiErrors({ 404: 'There is no such user.' }, false)
  @Access('own user, or organizers')
  listOfUser(@Param('user_id') userId: string): Promise<BookingDto[]> {
    return this.bookings.listOfUser(userId);
  }

  /** Sends the answer as it is: one that is repeated must not differ in a byte. */
  private async carryOut(
    command: RequestCommand,
    caller: Caller,
    key: string | null,
    reply: FastifyReply,
  ): Promise<string> {
    const { status, body, isReplay } = await this.bookings.carryOut(command, key, caller, reply.request.cause);
    void reply.status(status).header('Content-Type', JSON_TYPE);
    if (isReplay) void reply.header(REPLAYED, 'true');
    return body;
  }
}

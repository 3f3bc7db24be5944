import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { parseBookingId } from '../common/booking-id.js';
import { ApiErrors } from '../common/error-responses.js';
import { MessageDto } from '../users/user.dto.js';
import { BookDto, BookedDto, BookingDto, CancelDto, ConferenceBookingDto, ConfirmDto } from './booking.dto.js';
import { BookingsService } from './bookings.service.js';

@ApiTags('bookings')
@Controller()
export class BookingsController {
  constructor(private readonly bookings: BookingsService) {}

  @Post('book')
  @ApiOperation({
    summary: 'Book a conference',
    description: 'Confirmed at once while a slot is free; else the booking takes the last place in the line.',
  })
  @ApiCreatedResponse({ type: BookedDto, description: 'Booked, or added to the waitlist.' })
  @ApiErrors(
    { 400: 'A field is wrong; no such user or conference; it has started; booked already; an overlapping booking.' },
    true,
  )
  async book(@Body() { user_id, name }: BookDto): Promise<BookedDto> {
    const { bookingId, status, waitlistPosition } = await this.bookings.book(user_id, name);
    const message = status === 'CONFIRMED' ? 'Booking confirmed successfully' : 'Added to waitlist';
    return { booking_id: bookingId, status, message, waitlist_position: waitlistPosition };
  }

  @Get('booking/:booking_id')
  @ApiOperation({
    summary: 'Look up a booking',
    description: 'Its status, its open offer, and its live rank in the line.',
  })
  @ApiParam({ name: 'booking_id', example: 1, schema: { type: 'integer', minimum: 1, example: 1 } })
  @ApiOkResponse({ type: BookingDto, description: 'The booking.' })
  @ApiErrors({ 400: 'booking_id is no whole number.', 404: 'There is no such booking.' }, false)
  async get(@Param('booking_id') bookingId: string): Promise<BookingDto> {
    return this.bookings.get(parseBookingId(bookingId));
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
  async confirm(@Body() { booking_id, user_id }: ConfirmDto): Promise<MessageDto> {
    await this.bookings.confirm(booking_id, user_id);
    return { message: 'Booking confirmed successfully' };
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
    { 400: 'A field is wrong; canceled already; another user’s booking.', 404: 'There is no such booking.' },
    true,
  )
  async cancel(@Body() { booking_id, user_id }: CancelDto): Promise<MessageDto> {
    await this.bookings.cancel(booking_id, user_id ?? null);
    return { message: 'Booking canceled successfully' };
  }

  @Get('conference/:name/bookings')
  @ApiOperation({ summary: 'List the bookings of a conference', description: 'All of them, oldest first.' })
  @ApiParam({ name: 'name', example: 'Systems Day' })
  @ApiOkResponse({ type: [ConferenceBookingDto], description: 'The bookings.' })
  @ApiErrors({ 404: 'There is no such conference.' }, false)
  listOfConference(@Param('name') name: string): Promise<ConferenceBookingDto[]> {
    return this.bookings.listOfConference(name);
  }

  @Get('user/:user_id/bookings')
  @ApiOperation({ summary: 'List the bookings of a user', description: 'All of them, oldest first.' })
  @ApiParam({ name: 'user_id', example: 'ada1' })
  @ApiOkResponse({ type: [BookingDto], description: 'The bookings.' })
  @ApiErrors({ 404: 'There is no such user.' }, false)
  listOfUser(@Param('user_id') userId: string): Promise<BookingDto[]> {
    return this.bookings.listOfUser(userId);
  }
}

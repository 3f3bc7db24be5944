import { ApiProperty } from '@nestjs/swagger';
import { IsInt, Matches, Max, Min, ValidateIf } from 'class-validator';
import { PLAIN_TEXT, PLAIN_TEXT_MAX, USER_ID } from '../common/text.js';
import { IsPlainText } from '../common/validation.js';
import { BOOKING_STATUSES, type BookingStatus, TRANSITION_REASONS, type TransitionReason } from '../seating/model.js';

const WHO = 'user_id must be 1 to 255 ASCII letters and digits';
const WHICH = `booking_id must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`;

export class BookDto {
  @ApiProperty({ example: 'ada1', minLength: 1, maxLength: 255, pattern: USER_ID.source, description: 'Who books.' })
  @Matches(USER_ID, { message: WHO })
  user_id!: string;

  @ApiProperty({
    example: 'Systems Day',
    minLength: 1,
    maxLength: PLAIN_TEXT_MAX,
    pattern: PLAIN_TEXT.source,
    description: 'The name of the conference.',
  })
  @IsPlainText({
    message: 'name must be the name of a conference: 1 to 255 ASCII letters, digits and single inner spaces',
  })
  name!: string;
}

class OneBookingDto {
  @ApiProperty({ example: 1, type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
  @Max(Number.MAX_SAFE_INTEGER, { message: WHICH })
  @Min(1, { message: WHICH })
  @IsInt({ message: WHICH })
  booking_id!: number;
}

export class ConfirmDto extends OneBookingDto {
  @ApiProperty({
    example: 'ada1',
    minLength: 1,
    maxLength: 255,
    pattern: USER_ID.source,
    description: 'The owner of the booking.',
  })
  @Matches(USER_ID, { message: WHO })
  user_id!: string;
}

export class CancelDto extends OneBookingDto {
  @ApiProperty({
    required: false,
    example: 'ada1',
    minLength: 1,
    maxLength: 255,
    pattern: USER_ID.source,
    description: 'Where it is given, it must be the owner of the booking.',
  })
  @ValidateIf(({ user_id }: CancelDto) => user_id !== undefined)
  @Matches(USER_ID, { message: WHO })
  user_id?: string;
}

export class BookedDto {
  @ApiProperty({ example: 1, type: 'integer' })
  booking_id!: number;

  @ApiProperty({ enum: ['CONFIRMED', 'WAITLISTED'], example: 'CONFIRMED' })
  status!: 'CONFIRMED' | 'WAITLISTED';

  @ApiProperty({ example: 'Booking confirmed successfully' })
  message!: string;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: null,
    description: 'The rank in the line, from 1; null: confirmed.',
  })
  waitlist_position!: number | null;
}

class BookingFieldsDto {
  @ApiProperty({ example: 1, type: 'integer' })
  booking_id!: number;

  @ApiProperty({ enum: BOOKING_STATUSES, example: 'ConfirmationPending' })
  status!: BookingStatus;

  @ApiProperty({ example: true, description: 'True exactly while an open offer can still be confirmed.' })
  can_confirm!: boolean;

  @ApiProperty({
    type: 'string',
    format: 'date-time',
    nullable: true,
    example: '2036-01-15T10:15:30.000Z',
    description: 'Until when the open offer stands; null where there is none.',
  })
  confirmation_deadline!: string | null;

  @ApiProperty({ type: 'integer', nullable: true, example: null, description: 'The live rank in the line, from 1.' })
  waitlist_position!: number | null;
}

export class BookingDto extends BookingFieldsDto {
  @ApiProperty({ example: 'Systems Day' })
  conference_name!: string;
}

export class ConferenceBookingDto extends BookingFieldsDto {
  @ApiProperty({ example: 'ada1' })
  user_id!: string;

  @ApiProperty({ example: '2036-01-10T08:00:00.000Z', format: 'date-time' })
  created_at!: string;

  @ApiProperty({ type: 'string', format: 'date-time', nullable: true, example: null })
  canceled_at!: string | null;
}

export class TransitionDto {
  @ApiProperty({ format: 'date-time', example: '2036-01-15T10:15:20.000Z' })
  at!: string;

  @ApiProperty({
    // What may be null must be among the values, too.
    enum: [...BOOKING_STATUSES, null],
    nullable: true,
    example: 'WAITLISTED',
    description: 'The status before; null where the booking began.',
  })
  from_status!: BookingStatus | null;

  @ApiProperty({ enum: BOOKING_STATUSES, example: 'ConfirmationPending' })
  to_status!: BookingStatus;

  @ApiProperty({ enum: TRANSITION_REASONS, example: 'offered' })
  reason!: TransitionReason;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: 12,
    description: 'The booking whose slot was passed on; null where that is not the reason.',
  })
  cause_booking_id!: number | null;

  @ApiProperty({
    type: 'string',
    nullable: true,
    example: null,
    description: 'The organizer who took this step in the owner’s place; null: nobody did.',
  })
  organizer_id!: string | null;

  @ApiProperty({ example: 'offered: a slot became free when booking 12 was canceled', description: 'In plain words.' })
  message!: string;
}

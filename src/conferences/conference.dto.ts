import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { ArrayMaxSize, ArrayMinSize, ArrayUnique, IsArray, IsInt, Max, Min, ValidateIf } from 'class-validator';
import { INSTANT } from '../common/instant.js';
import { PLAIN_TEXT, PLAIN_TEXT_MAX } from '../common/text.js';
import { IsInstant, IsPlainText } from '../common/validation.js';

const TEXT = 'must be 1 to 255 ASCII letters, digits and single inner spaces';
const TIME =
  'must be a date and time that exists: YYYY-MM-DD HH:MM:SS in UTC, or ISO 8601 with Z or an offset (2027-03-01T09:00:00Z)';
const SLOTS = 'slots must be a whole number from 1 to 1000000';
const TOPICS = 'topics must be a list of 1 to 10 different topics';
const LIMIT = 'limit must be a whole number from 1 to 100';

const plainText = { minLength: 1, maxLength: PLAIN_TEXT_MAX, pattern: PLAIN_TEXT.source };

export class AddConferenceDto {
  @ApiProperty({ example: 'Systems Day', ...plainText, description: 'Unique.' })
  @IsPlainText({ message: `name ${TEXT}` })
  name!: string;

  @ApiProperty({ example: 'Hall 5', ...plainText })
  @IsPlainText({ message: `location ${TEXT}` })
  location!: string;

  @ApiProperty({ example: '2036-03-01 09:00:00', pattern: INSTANT, description: `In the future; ${TIME}.` })
  @IsInstant({ message: `start ${TIME}` })
  start!: string;

  @ApiProperty({
    example: '2036-03-01 17:00:00',
    pattern: INSTANT,
    description: 'After the start, at most 12 hours; written as the start is.',
  })
  @IsInstant({ message: `end ${TIME}` })
  end!: string;

  @ApiProperty({
    example: 5,
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    description: 'How many seats there are.',
  })
  @Max(1_000_000, { message: SLOTS })
  @Min(1, { message: SLOTS })
  @IsInt({ message: SLOTS })
  slots!: number;

  @ApiProperty({
    example: ['databases'],
    description: '1 to 10 different topics.',
    type: 'array',
    uniqueItems: true,
    items: { type: 'string', ...plainText },
  })
  @IsPlainText({ each: true, message: `each of topics ${TEXT}` })
  @ArrayUnique({ message: 'topics must be different from each other' })
  @ArrayMaxSize(10, { message: TOPICS })
  @ArrayMinSize(1, { message: TOPICS })
  @IsArray({ message: TOPICS })
  topics!: string[];
}

export class ListConferencesDto {
  @ApiProperty({
    required: false,
    example: 'databases',
    ...plainText,
    description: 'Only conferences with this topic.',
  })
  @ValidateIf(({ topic }: ListConferencesDto) => topic !== undefined)
  @IsPlainText({ message: `topic ${TEXT}` })
  topic?: string;

  @ApiProperty({
    required: false,
    ...plainText,
    description: 'The name of the last conference of the page before: the page that follows it is answered.',
  })
  @ValidateIf(({ after }: ListConferencesDto) => after !== undefined)
  @IsPlainText({ message: `after must be the name of a conference` })
  after?: string;

  @ApiProperty({ required: false, type: 'integer', minimum: 1, maximum: 100, default: 50, example: 50 })
  @Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value,
  )
  @Max(100, { message: LIMIT })
  @Min(1, { message: LIMIT })
  @IsInt({ message: LIMIT })
  limit = 50;
}

export class ConferenceDto {
  @ApiProperty({ example: 'Systems Day' })
  name!: string;

  @ApiProperty({ example: 'Hall 5' })
  location!: string;

  @ApiProperty({ example: '2036-03-01T09:00:00.000Z', format: 'date-time' })
  start!: string;

  @ApiProperty({ example: '2036-03-01T17:00:00.000Z', format: 'date-time' })
  end!: string;

  @ApiProperty({ example: ['databases'], type: [String] })
  topics!: string[];

  @ApiProperty({ example: 5, type: 'integer' })
  total_slots!: number;

  @ApiProperty({ example: 2, type: 'integer', description: 'Slots that are neither confirmed nor held.' })
  available_slots!: number;

  @ApiProperty({ example: 0, type: 'integer', description: 'Slots behind an open offer.' })
  held_slots!: number;

  @ApiProperty({ example: 0, type: 'integer', description: 'How many wait in line.' })
  waitlisted!: number;
}

export class ConferenceAddedDto extends ConferenceDto {
  @ApiProperty({ example: 'conference added successfully' })
  message!: string;
}

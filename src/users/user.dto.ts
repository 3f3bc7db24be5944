import { ApiProperty } from '@nestjs/swagger';
import { ArrayMaxSize, ArrayMinSize, ArrayUnique, IsArray, Matches } from 'class-validator';
import { PLAIN_TEXT, PLAIN_TEXT_MAX, USER_ID } from '../common/text.js';
import { IsPlainText } from '../common/validation.js';

export class AddUserDto {
  @ApiProperty({
    example: 'ada1',
    minLength: 1,
    maxLength: 255,
    pattern: USER_ID.source,
    description: 'Unique: ASCII letters and digits.',
  })
  @Matches(USER_ID, { message: 'user_id must be 1 to 255 ASCII letters and digits' })
  user_id!: string;

  @ApiProperty({
    example: ['databases', 'type systems'],
    description: 'What the user is interested in: 1 to 50 different topics.',
    type: 'array',
    uniqueItems: true,
    items: { type: 'string', minLength: 1, maxLength: PLAIN_TEXT_MAX, pattern: PLAIN_TEXT.source },
  })
  @IsPlainText({ each: true, message: 'each of topics must be 1 to 255 ASCII letters, digits and single inner spaces' })
  @ArrayUnique({ message: 'topics must be different from each other' })
  @ArrayMaxSize(50, { message: 'topics must be a list of 1 to 50 different topics' })
  @ArrayMinSize(1, { message: 'topics must be a list of 1 to 50 different topics' })
  @IsArray({ message: 'topics must be a list of 1 to 50 different topics' })
  topics!: string[];
}

export class MessageDto {
  @ApiProperty({ example: 'User added successfully' })
  message!: string;
}

import { Body, Controller, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../access/access.js';
import { ApiErrors } from '../common/error-responses.js';
import { AddUserDto, MessageDto } from './user.dto.js';
import { UsersService } from './users.service.js';

@ApiTags('users')
@Controller()
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Post('user')
  @ApiOperation({ summary: 'Add a user', description: 'Registers a user, who can then book.' })
  @ApiCreatedResponse({ type: MessageDto, description: 'The user was added.' })
  @ApiErrors({ 400: 'A field is wrong, or the user exists.' }, true)
  @Access('own user, or organizers')
  async add(@Body() { user_id, topics }: AddUserDto): Promise<MessageDto> {
    await this.users.add(user_id, topics);
    return { message: 'User added successfully' };
  }
}

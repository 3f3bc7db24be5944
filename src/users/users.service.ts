import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { USER_ID } from '../common/text.js';
import { User } from './user.entity.js';

const ADD_USER = `
  WITH added AS (INSERT INTO users (user_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING user_id),
    interests AS (INSERT INTO user_interests (user_id, topic) SELECT user_id, unnest($2::text[]) FROM added)
  SELECT user_id FROM added`;

@Injectable()
export class UsersService {
  constructor(@InjectRepository(User) private readonly users: Repository<User>) {}

  /** Registers a user with 1–50 different topics. @throws AppError `USER_EXISTS` */
  async add(userId: string, topics: string[]): Promise<void> {
    const added = await this.users.query<unknown[]>(ADD_USER, [userId, topics]);
    if (added.length === 0) throw new AppError('invalid', 'USER_EXISTS', 'User already exists');
  }

  /** @throws AppError `USER_NOT_FOUND` */
  async getExisting(userId: string): Promise<void> {
    if (USER_ID.test(userId) && (await this.users.existsBy({ userId }))) return;
    throw new AppError('not_found', 'USER_NOT_FOUND', 'User not found: check the user_id');
  }
}

import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AppError } from '../common/app-error.js';
import { USER_ID } from '../common/text.js';
import { prepared } from '../database/prepared.js';
import { Together } from '../database/together.js';
import { User } from './user.entity.js';

// In order of their ids: two statements that add the same users do not wait for each other in a circle.
const ADD_USERS = `
  WITH added AS (
    INSERT INTO users (user_id) SELECT user_id FROM unnest($1::text[]) AS wish(user_id) ORDER BY user_id
    ON CONFLICT DO NOTHING RETURNING user_id
  ), interests AS (
    INSERT INTO user_interests (user_id, topic)
    SELECT user_id, topic FROM unnest($2::text[], $3::text[]) AS wish(user_id, topic) JOIN added USING (user_id)
  )
  SELECT user_id FROM added`;

/** At most so many users in one statement. */
const BATCH = 64;

interface NewUser {
  userId: string;
  topics: string[];
}

@Injectable()
export class UsersService {
  private readonly registrations = new Together((users: NewUser[]) => this.insert(users), BATCH);

  constructor(@InjectRepository(User) private readonly users: Repository<User>) {}

  /** Registers a user with 1–50 different topics. @throws AppError `USER_EXISTS` */
  async add(userId: string, topics: string[]): Promise<void> {
    const isAdded = await this.registrations.ask({ userId, topics });
    if (!isAdded) throw new AppError('invalid', 'USER_EXISTS', 'User already exists');
  }

  /** @throws AppError `USER_NOT_FOUND` */
  async getExisting(userId: string): Promise<void> {
    if (USER_ID.test(userId) && (await this.users.existsBy({ userId }))) return;
    throw new AppError('not_found', 'USER_NOT_FOUND', 'User not found: check the user_id');
  }

  /** Of two with the same id the first is added. */
  private async insert(users: NewUser[]): Promise<boolean[]> {
    const first = new Map(users.toReversed().map((user) => [user.userId, user]));
    const interests = [...first.values()].flatMap(({ userId, topics }) => topics.map((topic) => ({ userId, topic })));
    const rows = await prepared<{ user_id: string }>(this.users.manager, ADD_USERS, [
      [...first.keys()],
      interests.map(({ userId }) => userId),
      interests.map(({ topic }) => topic),
    ]);
    const added = new Set(rows.map(({ user_id }) => user_id));
    return users.map((user) => added.has(user.userId) && first.get(user.userId) === user);
  }
}

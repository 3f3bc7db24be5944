import { Check, Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';

@Entity('users')
@Check('users_user_id_check', `user_id ~ '^[A-Za-z0-9]{1,255}$'`)
export class User {
  @PrimaryColumn({ name: 'user_id', type: 'text', primaryKeyConstraintName: 'users_pkey' })
  userId!: string;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;
}

@Entity('user_interests')
export class UserInterest {
  @PrimaryColumn({ name: 'user_id', type: 'text', primaryKeyConstraintName: 'user_interests_pkey' })
  @ForeignKey(() => User, { name: 'user_interests_user_id_fkey' })
  userId!: string;

  @PrimaryColumn({ type: 'text', primaryKeyConstraintName: 'user_interests_pkey' })
  topic!: string;
}

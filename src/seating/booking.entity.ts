import { Check, Column, Entity, Exclusion, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { Conference } from '../conferences/conference.entity.js';
import { bigintAsNumber } from '../database/bigint.js';
import { User } from '../users/user.entity.js';
import { BOOKING_STATUSES, type BookingStatus } from './model.js';

@Entity('bookings')
@Index('bookings_active_key', ['userId', 'conferenceId'], { unique: true, where: `status <> 'CANCELED'` })
@Index('bookings_line_key', ['conferenceId', 'queueTicket'], { unique: true, where: `status = 'WAITLISTED'` })
@Index('bookings_offers_idx', ['conferenceId', 'confirmationDeadline', 'queueTicket'], {
  where: `status = 'ConfirmationPending'`,
})
@Index('bookings_deadline_idx', ['confirmationDeadline'], { where: `status = 'ConfirmationPending'` })
@Index('bookings_conference_idx', ['conferenceId', 'bookingId'])
@Index('bookings_user_idx', ['userId', 'bookingId'])
@Exclusion(
  'bookings_no_overlap',
  `USING gist (hashtextextended(user_id, 0) WITH =, user_id COLLATE "C" WITH =, during WITH &&) WHERE (status <> 'CANCELED')`,
)
@Check(
  'bookings_status_check',
  `CASE status
    WHEN 'CONFIRMED' THEN queue_ticket IS NULL AND confirmation_deadline IS NULL AND canceled_at IS NULL
    WHEN 'WAITLISTED' THEN queue_ticket IS NOT NULL AND confirmation_deadline IS NULL AND canceled_at IS NULL
    WHEN 'ConfirmationPending' THEN queue_ticket IS NOT NULL AND confirmation_deadline IS NOT NULL AND canceled_at IS NULL
    WHEN 'CANCELED' THEN queue_ticket IS NULL AND confirmation_deadline IS NULL AND canceled_at IS NOT NULL
  END`,
)
export class Booking {
  @PrimaryColumn({
    name: 'booking_id',
    type: 'bigint',
    generated: 'identity',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'bookings_pkey',
    transformer: bigintAsNumber,
  })
  bookingId!: number;

  @Column({ name: 'conference_id', type: 'integer' })
  @ForeignKey(() => Conference, { name: 'bookings_conference_id_fkey' })
  conferenceId!: number;

  @Column({ name: 'user_id', type: 'text' })
  @ForeignKey(() => User, { name: 'bookings_user_id_fkey' })
  userId!: string;

  @Column({ type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status' })
  status!: BookingStatus;

  /** The conference's time, start inclusive and end exclusive: what the exclusion constraint compares. */
  @Column({ type: 'tstzrange' })
  during!: string;

  /** The place in the line; kept while an offer is open. */
  @Column({ name: 'queue_ticket', type: 'bigint', nullable: true, transformer: bigintAsNumber })
  queueTicket!: number | null;

  @Column({ name: 'confirmation_deadline', type: 'timestamptz', nullable: true })
  confirmationDeadline!: Date | null;

  /** Offers missed in a row. */
  @Column({ name: 'missed_offers', type: 'integer', default: 0 })
  missedOffers!: number;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @Column({ name: 'canceled_at', type: 'timestamptz', nullable: true })
  canceledAt!: Date | null;
}

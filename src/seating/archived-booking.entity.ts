import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint.js';
import { BOOKING_STATUSES, type BookingStatus } from './model.js';

/** A booking of a conference long over: it can be read, and no longer changed. */
@Entity('archived_bookings')
@Index('archived_bookings_conference_idx', ['conferenceId', 'bookingId'])
@Index('archived_bookings_user_idx', ['userId', 'bookingId'])
@Check(
  'archived_bookings_status_check',
  `CASE status
    WHEN 'CONFIRMED' THEN canceled_at IS NULL WHEN 'CANCELED' THEN canceled_at IS NOT NULL ELSE false END`,
)
export class ArchivedBooking {
  @PrimaryColumn({
    name: 'booking_id',
    type: 'bigint',
    primaryKeyConstraintName: 'archived_bookings_pkey',
    transformer: bigintAsNumber,
  })
  bookingId!: number;

  @Column({ name: 'conference_id', type: 'integer' })
  conferenceId!: number;

  @Column({ name: 'user_id', type: 'text' })
  userId!: string;

  @Column({ type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status' })
  status!: BookingStatus;

  @Column({ type: 'tstzrange' })
  during!: string;

  @Column({ name: 'missed_offers', type: 'integer' })
  missedOffers!: number;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @Column({ name: 'canceled_at', type: 'timestamptz', nullable: true })
  canceledAt!: Date | null;

  @Column({ name: 'archived_at', type: 'timestamptz', default: () => 'now()' })
  archivedAt!: Date;
}

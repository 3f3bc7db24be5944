import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint.js';
import { BOOKING_STATUSES, type BookingStatus, type TransitionReason } from './model.js';

/** What happened to a booking of a conference long over. */
@Entity('archived_transitions')
@Index('archived_transitions_booking_idx', ['bookingId', 'transitionId'])
export class ArchivedTransition {
  @PrimaryColumn({
    name: 'transition_id',
    type: 'bigint',
    primaryKeyConstraintName: 'archived_transitions_pkey',
    transformer: bigintAsNumber,
  })
  transitionId!: number;

  @Column({ name: 'booking_id', type: 'bigint', transformer: bigintAsNumber })
  bookingId!: number;

  @Column({ name: 'from_status', type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status', nullable: true })
  fromStatus!: BookingStatus | null;

  @Column({ name: 'to_status', type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status' })
  toStatus!: BookingStatus;

  @Column({ type: 'text' })
  reason!: TransitionReason;

  @Column({ name: 'cause_booking_id', type: 'bigint', nullable: true, transformer: bigintAsNumber })
  causeBookingId!: number | null;

  /** The organizer who took this step in the owner's place; null: nobody did. */
  @Column({ name: 'organizer_id', type: 'text', nullable: true })
  organizerId!: string | null;

  @Column({ type: 'timestamptz' })
  at!: Date;
}

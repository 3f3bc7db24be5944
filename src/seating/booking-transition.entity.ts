import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint.js';
import { Booking } from './booking.entity.js';
import { BOOKING_STATUSES, TRANSITION_REASONS, type BookingStatus, type TransitionReason } from './model.js';

/** Append-only: what happened to a booking, written in the transaction that did it. */
@Entity('booking_transitions')
@Index('booking_transitions_booking_idx', ['bookingId', 'transitionId'])
@Check(
  'booking_transitions_reason_check',
  `reason IN (${TRANSITION_REASONS.map((reason) => `'${reason}'`).join(', ')})`,
)
export class BookingTransition {
  @PrimaryColumn({
    name: 'transition_id',
    type: 'bigint',
    generated: 'identity',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'booking_transitions_pkey',
    transformer: bigintAsNumber,
  })
  transitionId!: number;

  @Column({ name: 'booking_id', type: 'bigint', transformer: bigintAsNumber })
  @ForeignKey(() => Booking, { name: 'booking_transitions_booking_id_fkey' })
  bookingId!: number;

  @Column({ name: 'from_status', type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status', nullable: true })
  fromStatus!: BookingStatus | null;

  @Column({ name: 'to_status', type: 'enum', enum: BOOKING_STATUSES, enumName: 'booking_status' })
  toStatus!: BookingStatus;

  @Column({ type: 'text' })
  reason!: TransitionReason;

  /** The booking whose slot was passed on, where that is the reason. */
  @Column({ name: 'cause_booking_id', type: 'bigint', nullable: true, transformer: bigintAsNumber })
  causeBookingId!: number | null;

  /** The organizer who took this step in the owner's place; null: nobody did. */
  @Column({ name: 'organizer_id', type: 'text', nullable: true })
  organizerId!: string | null;

  @Column({ type: 'timestamptz' })
  at!: Date;
}

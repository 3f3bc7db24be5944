import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn, PrimaryGeneratedColumn, Unique } from 'typeorm';
import { bigintAsNumber } from '../database/bigint.js';

@Entity('conferences')
@Unique('conferences_name_key', ['name'])
@Unique('conferences_source_key_key', ['sourceKey'])
@Index('conferences_upcoming_idx', ['startsAt', 'name'])
@Index('conferences_unclosed_idx', ['startsAt'], { where: 'waitlist_closed_at IS NULL' })
@Index('conferences_unarchived_idx', ['endsAt'], { where: 'archived_at IS NULL' })
@Check('conferences_times_check', `ends_at > starts_at AND ends_at - starts_at <= interval '12 hours'`)
@Check(
  'conferences_slots_check',
  `total_slots BETWEEN 1 AND 1000000 AND available_slots >= 0
    AND held_slots >= 0 AND available_slots + held_slots <= total_slots`,
)
@Check('conferences_line_check', 'waitlisted >= 0 AND last_ticket >= 0')
export class Conference {
  @PrimaryGeneratedColumn('identity', {
    name: 'conference_id',
    type: 'integer',
    generatedIdentity: 'BY DEFAULT',
    primaryKeyConstraintName: 'conferences_pkey',
  })
  conferenceId!: number;

  @Column({ type: 'text' })
  name!: string;

  @Column({ type: 'text' })
  location!: string;

  @Column({ name: 'starts_at', type: 'timestamptz' })
  startsAt!: Date;

  @Column({ name: 'ends_at', type: 'timestamptz' })
  endsAt!: Date;

  @Column({ name: 'total_slots', type: 'integer' })
  totalSlots!: number;

  /** Slots that are neither confirmed nor held. Above 0 only when nobody waits, until the start. */
  @Column({ name: 'available_slots', type: 'integer' })
  availableSlots!: number;

  /** Slots behind an open offer. */
  @Column({ name: 'held_slots', type: 'integer', default: 0 })
  heldSlots!: number;

  /** How many bookings are `WAITLISTED`. */
  @Column({ type: 'integer', default: 0 })
  waitlisted!: number;

  /** The last place given in the line; tickets only grow. */
  @Column({ name: 'last_ticket', type: 'bigint', default: 0, transformer: bigintAsNumber })
  lastTicket!: number;

  /** When its start was dealt with; `null` before. */
  @Column({ name: 'waitlist_closed_at', type: 'timestamptz', nullable: true })
  waitlistClosedAt!: Date | null;

  /** The schedule and guid that an imported conference is known by. */
  @Column({ name: 'source_key', type: 'text', nullable: true })
  sourceKey!: string | null;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt!: Date;

  /** When the last of its bookings was moved into the archive; `null` before. */
  @Column({ name: 'archived_at', type: 'timestamptz', nullable: true })
  archivedAt!: Date | null;

  /** How many of its confirmed bookings are no longer here: they were exported, and then deleted. */
  @Column({ name: 'exported_confirmed', type: 'integer', default: 0 })
  exportedConfirmed!: number;
}

@Entity('conference_topics')
@Index('conference_topics_topic_idx', ['topic', 'conferenceId'])
export class ConferenceTopic {
  @PrimaryColumn({ name: 'conference_id', type: 'integer', primaryKeyConstraintName: 'conference_topics_pkey' })
  @ForeignKey(() => Conference, { name: 'conference_topics_conference_id_fkey' })
  conferenceId!: number;

  @PrimaryColumn({ type: 'text', primaryKeyConstraintName: 'conference_topics_pkey' })
  topic!: string;
}

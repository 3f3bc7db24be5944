import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint.js';

/**
 * How many wait in each block of 1,024 places of a line; a block that nobody waits in has no row. Written by triggers on
 * `bookings` alone, and read for ranks (line-rank.ts).
 */
@Entity('line_blocks')
export class LineBlock {
  @PrimaryColumn({ name: 'conference_id', type: 'integer', primaryKeyConstraintName: 'line_blocks_pkey' })
  conferenceId!: number;

  /** The ticket's place in the line, divided by 1,024. */
  @PrimaryColumn({
    type: 'bigint',
    primaryKeyConstraintName: 'line_blocks_pkey',
    transformer: bigintAsNumber,
  })
  block!: number;

  @Column({ type: 'integer' })
  waiting!: number;
}

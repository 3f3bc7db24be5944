import type { MigrationInterface, QueryRunner } from 'typeorm';

// Without a default: nothing is rewritten, and nobody has to wait for more than a moment.
const SCHEMA = `
-- The organizer who took a step in the owner's place; null: nobody did.
ALTER TABLE booking_transitions ADD organizer_id text;
ALTER TABLE archived_transitions ADD organizer_id text;
`;

const TEARDOWN = `
ALTER TABLE booking_transitions DROP organizer_id;
ALTER TABLE archived_transitions DROP organizer_id;
`;

export class Organizers1795000000500 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SCHEMA);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(TEARDOWN);
  }
}

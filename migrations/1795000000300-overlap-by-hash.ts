import type { MigrationInterface, QueryRunner } from 'typeorm';

// The same rule. A number ahead of the name is what makes it cheap: the index compares numbers, and looks at names only
// where those agree (docs/decisions/0014-overlaps-found-by-hash.md).
const SCHEMA = `
ALTER TABLE bookings DROP CONSTRAINT bookings_no_overlap,
  ADD CONSTRAINT bookings_no_overlap EXCLUDE USING gist
    (hashtextextended(user_id, 0) WITH =, user_id COLLATE "C" WITH =, during WITH &&)
    WHERE (status <> 'CANCELED');
`;

const TEARDOWN = `
ALTER TABLE bookings DROP CONSTRAINT bookings_no_overlap,
  ADD CONSTRAINT bookings_no_overlap EXCLUDE USING gist (user_id WITH =, during WITH &&) WHERE (status <> 'CANCELED');
`;

export class OverlapByHash1795000000300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SCHEMA);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(TEARDOWN);
  }
}

import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A block is 1,024 places of a line: the tickets that have all but their last 10 bits in common. */
const BLOCK = 'queue_ticket >> 10';

const places = (rows: string, change: 1 | -1): string =>
  `SELECT conference_id, ${BLOCK} AS block, ${change} AS change FROM ${rows} WHERE status = 'WAITLISTED'`;

/**
 * Counts what one statement did to the lines. Every writer of a line holds its conference's lock, so nobody else has these
 * rows; a block that nobody waits in has none.
 */
const counter = (event: string, changes: string): string => `
CREATE FUNCTION count_line_blocks_on_${event}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  MERGE INTO line_blocks counted USING (
    SELECT conference_id, block, sum(change)::int AS change FROM (${changes}) changes
    GROUP BY conference_id, block HAVING sum(change) <> 0 ORDER BY conference_id, block
  ) changed ON counted.conference_id = changed.conference_id AND counted.block = changed.block
  WHEN MATCHED AND counted.waiting + changed.change = 0 THEN DELETE
  WHEN MATCHED THEN UPDATE SET waiting = counted.waiting + changed.change
  WHEN NOT MATCHED THEN INSERT (conference_id, block, waiting)
    VALUES (changed.conference_id, changed.block, changed.change);
  RETURN NULL;
END $$;`;

// The triggers come before the count: they keep everybody from writing until both are there. They, and not the service,
// count, because during a deployment the version before this one books, too.
const SCHEMA = `
-- How many wait in each block of 1,024 places of a line: a rank is those in front of the own block, and a count within it.
-- No foreign key and no check: triggers alone write it, and what only tells a rank keeps nobody from booking.
CREATE TABLE line_blocks (
  conference_id integer NOT NULL,
  block bigint NOT NULL,
  waiting integer NOT NULL,
  CONSTRAINT line_blocks_pkey PRIMARY KEY (conference_id, block)
-- The last block of a line is counted up by every batch: there is room for its next version on the same page.
) WITH (fillfactor = 50);
${counter('insert', places('added', 1))}
${counter('update', `${places('removed', -1)} UNION ALL ${places('added', 1)}`)}
${counter('delete', places('removed', -1))}
CREATE FUNCTION count_line_blocks_on_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE line_blocks;
  RETURN NULL;
END $$;
CREATE TRIGGER bookings_line_insert AFTER INSERT ON bookings REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION count_line_blocks_on_insert();
CREATE TRIGGER bookings_line_update AFTER UPDATE ON bookings REFERENCING OLD TABLE AS removed NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION count_line_blocks_on_update();
CREATE TRIGGER bookings_line_delete AFTER DELETE ON bookings REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION count_line_blocks_on_delete();
CREATE TRIGGER bookings_line_truncate AFTER TRUNCATE ON bookings
  FOR EACH STATEMENT EXECUTE FUNCTION count_line_blocks_on_truncate();
INSERT INTO line_blocks (conference_id, block, waiting)
  SELECT conference_id, ${BLOCK}, count(*) FROM bookings WHERE status = 'WAITLISTED' GROUP BY 1, 2;
`;

const TEARDOWN = `
DROP TRIGGER bookings_line_insert ON bookings;
DROP TRIGGER bookings_line_update ON bookings;
DROP TRIGGER bookings_line_delete ON bookings;
DROP TRIGGER bookings_line_truncate ON bookings;
DROP FUNCTION count_line_blocks_on_insert, count_line_blocks_on_update, count_line_blocks_on_delete,
  count_line_blocks_on_truncate;
DROP TABLE line_blocks;
`;

export class LineBlocks1795000000400 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SCHEMA);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(TEARDOWN);
  }
}

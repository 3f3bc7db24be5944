import type { MigrationInterface, QueryRunner } from 'typeorm';

// No foreign keys: nothing that is done to the live tables has to wait for the archive, or to look into it.
const SCHEMA = `
CREATE TABLE archived_bookings (
  booking_id bigint NOT NULL CONSTRAINT archived_bookings_pkey PRIMARY KEY,
  conference_id integer NOT NULL,
  user_id text NOT NULL,
  status booking_status NOT NULL,
  during tstzrange NOT NULL,
  missed_offers integer NOT NULL,
  created_at timestamptz NOT NULL,
  canceled_at timestamptz,
  archived_at timestamptz NOT NULL DEFAULT now(),
  -- After the start nobody waits, and no offer is open.
  CONSTRAINT archived_bookings_status_check CHECK (CASE status
    WHEN 'CONFIRMED' THEN canceled_at IS NULL WHEN 'CANCELED' THEN canceled_at IS NOT NULL ELSE false END)
);
CREATE INDEX archived_bookings_conference_idx ON archived_bookings (conference_id, booking_id);
CREATE INDEX archived_bookings_user_idx ON archived_bookings (user_id, booking_id);

CREATE TABLE archived_transitions (
  transition_id bigint NOT NULL CONSTRAINT archived_transitions_pkey PRIMARY KEY,
  booking_id bigint NOT NULL,
  from_status booking_status,
  to_status booking_status NOT NULL,
  reason text NOT NULL,
  cause_booking_id bigint,
  at timestamptz NOT NULL
);
CREATE INDEX archived_transitions_booking_idx ON archived_transitions (booking_id, transition_id);

ALTER TABLE conferences
  -- When the last of its bookings was moved into the archive.
  ADD archived_at timestamptz,
  -- How many of its confirmed bookings were exported and then deleted: counters still equal what they count.
  ADD exported_confirmed integer NOT NULL DEFAULT 0;
CREATE INDEX conferences_unarchived_idx ON conferences (ends_at) WHERE archived_at IS NULL;
`;

// What is in the archive goes back to where it came from; what was exported and deleted is gone.
const TEARDOWN = `
INSERT INTO bookings (booking_id, conference_id, user_id, status, during, missed_offers, created_at, canceled_at)
  SELECT booking_id, conference_id, user_id, status, during, missed_offers, created_at, canceled_at FROM archived_bookings;
INSERT INTO booking_transitions (transition_id, booking_id, from_status, to_status, reason, cause_booking_id, at)
  SELECT transition_id, booking_id, from_status, to_status, reason, cause_booking_id, at FROM archived_transitions;
DROP TABLE archived_transitions, archived_bookings;
ALTER TABLE conferences DROP archived_at, DROP exported_confirmed;
`;

export class Archive1795000000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SCHEMA);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(TEARDOWN);
  }
}

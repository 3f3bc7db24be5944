-- What a booking writes and nothing more: no transitions, no archive, no topics, no names for constraints.
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TYPE booking_status AS ENUM ('CONFIRMED', 'WAITLISTED', 'ConfirmationPending', 'CANCELED');
CREATE TABLE users (user_id text PRIMARY KEY);
CREATE TABLE conferences (
  conference_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  location text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  total_slots integer NOT NULL,
  available_slots integer NOT NULL CHECK (available_slots >= 0),
  waitlisted integer NOT NULL DEFAULT 0
);
CREATE TABLE bookings (
  booking_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  conference_id integer NOT NULL REFERENCES conferences,
  user_id text NOT NULL REFERENCES users,
  status booking_status NOT NULL,
  during tstzrange NOT NULL,
  queue_ticket bigint,
  confirmation_deadline timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  canceled_at timestamptz,
  EXCLUDE USING gist (user_id WITH =, during WITH &&) WHERE (status <> 'CANCELED')
);
CREATE UNIQUE INDEX ON bookings (user_id, conference_id) WHERE status <> 'CANCELED';
CREATE INDEX ON bookings (conference_id, queue_ticket) WHERE status = 'WAITLISTED';
CREATE INDEX ON bookings (conference_id, booking_id);

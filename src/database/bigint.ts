import type { ValueTransformer } from 'typeorm';

/** PostgreSQL's bigint arrives as a string; ours stay below 2^53, where a number is exact. */
export const bigintAsNumber: ValueTransformer = {
  to: (value: number | null) => value,
  from: (value: string | null) => (value === null ? null : Number(value)),
};

import { CreateSchema1795000000000 } from './1795000000000-create-schema.js';
import { Archive1795000000100 } from './1795000000100-archive.js';
import { IdempotencyKeys1795000000200 } from './1795000000200-idempotency-keys.js';
import { OverlapByHash1795000000300 } from './1795000000300-overlap-by-hash.js';
import { LineBlocks1795000000400 } from './1795000000400-line-blocks.js';
import { Organizers1795000000500 } from './1795000000500-organizers.js';

/** All migrations, oldest first. They add first and remove later: old code must run on a newer schema. */
export const migrations = [
  CreateSchema1795000000000,
  Archive1795000000100,
  IdempotencyKeys1795000000200,
  OverlapByHash1795000000300,
  LineBlocks1795000000400,
  Organizers1795000000500,
];

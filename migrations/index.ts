import { CreateSchema1795000000000 } from './1795000000000-create-schema.js';

/** All migrations, oldest first. They add first and remove later: old code must run on a newer schema. */
export const migrations = [CreateSchema1795000000000];

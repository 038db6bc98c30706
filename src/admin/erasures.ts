/** Users who are being deleted: every server keeps them out until nothing of them is left. Main thread. */
import { z } from 'zod';
import { MarkedUsers } from '../credentials/marked-users.js';
import { readRecord } from '../credentials/records.js';

export const ERASE_KIND = 'erase:';

/** Unknown fields are dropped, so that an older server reads what a newer one has written. */
const schema = z.object({
  /** ms since the epoch. */
  since: z.number().int().min(0),
  by: z.string(),
  /** The server that does it, and goes on with it after its restart. */
  server: z.string(),
});
export type Erasure = z.infer<typeof schema>;

/** An entry that nobody can read keeps its user out all the same, until somebody deletes them again. */
export class Erasures extends MarkedUsers<Erasure> {
  /** `fresh`: who was not being deleted before. */
  constructor(onChanged: (fresh: ReadonlySet<string>) => void) {
    const unreadable = { since: 0, by: '', server: '' };
    super(ERASE_KIND, { read: (value) => readRecord(schema, value), unreadable, onChanged });
  }
}

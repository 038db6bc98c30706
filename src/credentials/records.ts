/** What the table of credentials holds for a token made here and for a blocked user. Main thread; pure. */
import { z } from 'zod';
import { groupName, role, userName } from '../shared/config-auth.js';

export const TOKEN_KIND = 'token:';
export const BLOCK_KIND = 'block:';

const time = z.number().int().min(0);

/** Unknown fields are dropped, so that an older server reads what a newer one has written. */
const tokenRecord = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  user: userName,
  role,
  groups: z.array(groupName),
  note: z.string().optional(),
  createdAt: time,
  createdBy: z.string(),
  /** ms since the epoch; absent: it does not end by itself. */
  expiresAt: time.optional(),
});

const blockRecord = z.object({ since: time, by: z.string(), reason: z.string().optional() });

export type TokenRecord = z.infer<typeof tokenRecord>;
export type BlockRecord = z.infer<typeof blockRecord>;

/** Undefined: nobody can read it. */
export function readToken(value: string): TokenRecord | undefined {
  return readRecord(tokenRecord, value);
}

export function readBlock(value: string): BlockRecord | undefined {
  return readRecord(blockRecord, value);
}

/** Undefined: it is not of this kind, or no JSON. */
export function readRecord<T>(schema: z.ZodType<T>, value: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(value)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

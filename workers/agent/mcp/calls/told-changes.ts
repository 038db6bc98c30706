/** What a server in a sandbox says that its call has changed. It is the sandbox's word: checked, and bounded. Pure; agent threads. */
import { z } from 'zod';
import { CHANGES_META } from '../../../../src/shared/mcp-meta.js';
import type { FileChanges } from '../../../../src/shared/protocol.js';

const MOST = 200;
const MAX_PATH = 1_024;

const shape = z.object({
  changes: z
    .array(
      z.object({
        path: z.string().min(1).max(MAX_PATH),
        change: z.enum(['created', 'changed', 'deleted']),
        size: z.number().int().min(0).exactOptional(),
      }),
    )
    .min(1)
    .max(MOST),
  truncated: z.literal(true).exactOptional(),
});

/** Undefined: nothing, or nothing that can be read. */
export function toldChanges(meta: Readonly<Record<string, unknown>> | undefined): FileChanges | undefined {
  const told = meta?.[CHANGES_META];
  return told === undefined ? undefined : shape.safeParse(told).data;
}

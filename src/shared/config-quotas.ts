/** The configuration's part `quotas`: what one user may have and do, by default, by group and by name. Main thread and command line. */
import { z } from 'zod';

/** A list of so many times is kept for a user who sends this many messages a minute. */
const MAX_MESSAGES_PER_MINUTE = 10_000;

const limit = z.number().int().min(0);

export const quotaSchema = z.strictObject({
  maxSessions: limit.optional().describe('Sessions that a user has'),
  maxSockets: limit
    .optional()
    .describe('WebSockets and streams that a user has open; absent everywhere = limits.maxSocketsPerUser'),
  maxMessagesPerMinute: limit.max(MAX_MESSAGES_PER_MINUTE).optional().describe('Messages in any 60 seconds'),
  maxTurns: limit
    .optional()
    .describe(
      'Messages that are accepted and not ended, in all sessions of a user; absent everywhere = limits.maxInFlight',
    ),
  maxSandboxes: limit.optional().describe('Sandboxes that a user’s sessions hold'),
  maxWorkspaceBytes: limit
    .optional()
    .describe('Saved workspaces of a user, on disk; above it no session gets its first sandbox'),
  maxHistoryBytes: limit.optional().describe('Messages and results of all sessions of a user; above it no message'),
});

/** Absent: the next wider part says. 0: no limit. */
export type QuotaLimits = z.infer<typeof quotaSchema>;

export const quotasSchema = z
  .strictObject({
    default: quotaSchema.prefault({}).describe('For everybody of whom nothing else is said'),
    groups: z
      .record(z.string().min(1).max(128), quotaSchema)
      .default({})
      .describe('In place of the default; of several groups the most generous limit holds'),
    users: z.record(z.string().min(1).max(128), quotaSchema).default({}).describe('In place of default and groups'),
    failOpen: z
      .boolean()
      .default(false)
      .describe('Sockets and sandboxes are given while the counters cannot be read; false: they are refused'),
  })
  .prefault({})
  .describe('Limits of a person, over all sessions, threads and servers of one store; 0 = no limit (docs/limits.md)');

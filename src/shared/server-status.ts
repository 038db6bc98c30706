/** What `/v1/admin/status` answers: how the server does, without anybody's content. Main thread and command line. */
import { z } from 'zod';

/** How often, and how long in all. */
const timed = z.object({ count: z.number(), seconds: z.number() });

export const serverStatusSchema = z.object({
  version: z.string(),
  node: z.string(),
  pid: z.number(),
  /** RFC 3339. */
  startedAt: z.string(),
  uptimeMs: z.number(),
  ready: z.boolean(),
  /** Why it is not ready, as `/readyz` tells. */
  reasons: z.array(z.string()),
  outages: z.array(z.object({ part: z.string(), since: z.string(), why: z.string() })),
  /** MCP servers that cannot be used as they should; of an older server: none. */
  mcpServers: z.array(z.object({ name: z.string(), state: z.string() })).default([]),
  people: z.object({ users: z.number(), connections: z.number() }),
  sessions: z.object({ attached: z.number(), inMemory: z.number() }),
  turns: z.object({ running: z.number() }),
  modelCalls: z.object({ running: z.number(), waiting: z.number() }),
  sandboxes: z.array(z.object({ server: z.string(), state: z.string(), count: z.number() })),
  /** Turns that wait for a sandbox. */
  sandboxLine: z.number(),
  threads: z.object({ size: z.number(), alive: z.number() }),
  /** Since the start; what lies between two answers is what went on meanwhile. Absent: of an older server. */
  totals: z
    .object({
      turns: z.number(),
      failedTurns: z.number(),
      firstToken: timed,
      store: timed,
      tools: timed,
      refusedRequests: z.number(),
      modelRefusals: z.number(),
    })
    .exactOptional(),
  /** Delays of the threads' event loops since they were asked last, 99th percentile, seconds. */
  loops: z.array(z.object({ thread: z.string(), seconds: z.number() })).exactOptional(),
  /** In words, as the log says at the start. */
  parts: z.object({ store: z.string(), sandbox: z.string(), model: z.string() }),
});

export type ServerStatus = z.infer<typeof serverStatusSchema>;

/** What routes answer, as zod schemas, for the descriptions. */
import { z } from 'zod';
import type { KnownUser } from '../../admin/user-list.js';
import type { DrainState } from '../../admin/drain.js';
import type { ShownToken } from '../../credentials/credentials.js';
import type {
  ListedSession,
  ListWaitingResult,
  ReadCallResult,
  SessionInfo,
  SessionSize,
} from '../../../workers/agent/contract/sessions.js';
import type { ServerStatus } from '../../../workers/agent/contract/mcp.js';
import type { UsageLine, UserFacts } from '../../../workers/agent/contract/usage.js';
import type { SandboxInfo } from '../../../workers/docker/contract/messages.js';
import type { Quota } from '../../shared/quotas.js';
import { ERROR_TABLE, type ErrorCode } from '../../shared/errors.js';
import type { FinishedTurn } from '../turn-result.js';
import {
  budgetLeft,
  contentBlock,
  count,
  pending,
  pendingCall,
  pendingQuestion,
  time,
  transcriptEntry,
  usage,
} from './event-schemas.js';

const role = z.enum(['user', 'operator', 'admin']);
const next = z.string().exactOptional().describe('Names the next page; absent: there is none');
const object = z.record(z.string(), z.unknown());

/** RFC 9457. Some errors have facts of their own beside these. */
export const problem = z
  .looseObject({
    type: z.string().describe('urn:fairlead:error:CODE'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.enum(Object.keys(ERROR_TABLE) as [ErrorCode, ...ErrorCode[]]),
    requestId: z.string().exactOptional().describe('Finds the request in the server’s log'),
  })
  .describe('RFC 9457');

const sessionFields = {
  session: z.string(),
  model: z.string(),
  image: z.string().exactOptional().describe('The image of its sandbox; absent: that of the server'),
  title: z.string(),
  createdAt: time,
  lastActiveAt: time,
  seq: count,
  turns: count,
  running: z.boolean().describe('A turn runs, or waits for its user'),
  waiting: count.describe('Approvals and questions that wait for the user'),
};
export const listedSession = z.object(sessionFields) satisfies z.ZodType<ListedSession>;
export const sessionInfo = z.object({
  ...sessionFields,
  pending: z.array(pending),
}) satisfies z.ZodType<SessionInfo>;
const itsSession = { session: z.string(), title: z.string() };
export const waiting = z.object({
  waiting: z.array(z.discriminatedUnion('kind', [pendingCall.extend(itsSession), pendingQuestion.extend(itsSession)])),
  more: z.literal(true).exactOptional().describe('There may be more'),
}) satisfies z.ZodType<ListWaitingResult>;
export const waitingCall = pendingCall.extend({
  schema: object.exactOptional().describe('Of the arguments, in its server’s words; absent: the tool is not there now'),
}) satisfies z.ZodType<ReadCallResult>;
export const sessions = z.object({ sessions: z.array(listedSession), next });
export const madeSession = z.object({ session: z.string(), model: z.string(), image: z.string().exactOptional() });
export const images = z.object({
  images: z.array(z.object({ name: z.string(), description: z.string(), default: z.boolean() })),
});
export const justSession = z.object({ session: z.string() });
export const history = z.object({ transcript: z.array(transcriptEntry), first: count.exactOptional(), next });
export const answered = z.object({ callId: z.string(), approved: z.boolean() });
export const replied = z.object({ requestId: z.string(), action: z.enum(['accept', 'decline', 'cancel']) });
export const restarted = z.object({ session: z.string(), restarted: count });

export const finishedTurn = z.object({
  turn: count,
  text: z.string(),
  tools: z.array(
    z.object({
      callId: z.string(),
      name: z.string(),
      server: z.string(),
      ok: z.boolean(),
      content: z.array(contentBlock),
      structuredContent: object.exactOptional(),
    }),
  ),
  usage,
  stopReason: z.string(),
  model: z.string(),
}) satisfies z.ZodType<FinishedTurn>;
export const waitingTurn = z.object({ turn: count, pending: z.array(pending) });

const file = z.object({
  path: z.string(),
  type: z.enum(['file', 'folder', 'link', 'other']),
  size: count,
  mtimeMs: z.number(),
  etag: z.string().exactOptional(),
});
export const files = z.object({
  files: z.array(file),
  next,
  savedAt: time.exactOptional().describe('It is what a save holds, which began then'),
  server: z.string(),
});
export const writtenFile = z.object({ path: z.string(), size: count, mtimeMs: z.number(), etag: z.string() });
export const moved = z.object({ from: z.string(), to: z.string() });

const usageFields = {
  name: z.string(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  cacheReadTokens: z.number(),
  cacheWriteTokens: z.number(),
  amount: z.number(),
  answers: z.number(),
  calls: z.number(),
};
const usageLine = z.object(usageFields) satisfies z.ZodType<UsageLine>;
const usagePage = {
  by: z.enum(['user', 'group', 'model', 'day']),
  from: z.string(),
  to: z.string(),
  currency: z.string(),
  rows: z.array(usageLine),
  next,
};
export const ownUsage = z.object({ ...usagePage, budgets: z.array(budgetLeft) });
export const allUsage = z.object(usagePage);

export const mcpServer = z.object({
  name: z.string(),
  kind: z.enum(['image', 'command', 'url']),
  state: z.enum(['healthy', 'degraded', 'reconnecting', 'down', 'needs_login']),
  era: z.enum(['legacy', 'modern']).exactOptional(),
  latencyMs: z.number().exactOptional(),
  lastError: z.string().exactOptional(),
  since: z.number().exactOptional(),
  tools: z.array(z.object({ name: z.string(), title: z.string().exactOptional(), description: z.string() })),
  leftOut: z.array(z.string()).exactOptional(),
  resources: z.boolean(),
  prompts: z.boolean(),
}) satisfies z.ZodType<ServerStatus>;
export const mcpServers = z.object({ servers: z.array(mcpServer) });
export const mcpTest = z.object({ name: z.string(), latencyMs: z.number(), era: z.enum(['legacy', 'modern']) });
export const mcpLogin = z.object({ url: z.string(), expiresAt: time });
export const mcpLogout = z.object({ revoked: z.boolean() });
export const mcpPrompts = z.looseObject({ prompts: z.array(object) });
export const mcpPrompt = z.looseObject({ messages: z.array(object) });
export const mcpResources = z.looseObject({ resources: z.array(object), resourceTemplates: z.array(object) });
export const mcpContents = z.looseObject({ contents: z.array(object) });
export const pins = z.object({
  server: z.string(),
  pinnedBy: z.enum(['configuration', 'file']).exactOptional(),
  onChange: z.enum(['ask', 'refuse']),
  tools: z.record(z.string(), z.string()),
  differences: z.array(
    z.object({
      tool: z.string(),
      state: z.enum(['changed', 'new']),
      parts: z.array(z.enum(['description', 'hints', 'arguments', 'result'])),
    }),
  ),
  missing: z.array(z.string()),
});

const person = z.object({
  user: z.string(),
  role,
  groups: z.array(z.string()),
  expiresAt: time.exactOptional(),
});
const limit = count.describe('0: none');
export const me = z.object({
  user: z.string(),
  role,
  groups: z.array(z.string()),
  credential: z.string().describe('Names what you are let in with; a token by its id'),
  expiresAt: time.exactOptional(),
  limits: z.object({
    maxSessions: limit,
    maxSockets: limit,
    maxMessagesPerMinute: limit,
    maxTurns: limit,
    maxSandboxes: limit,
    maxWorkspaceBytes: limit,
    maxHistoryBytes: limit,
  }) satisfies z.ZodType<Quota>,
});
export const loggedIn = person;
export const standing = z.object({ ways: z.array(z.enum(['token', 'issuer'])), person: person.exactOptional() });

export const health = z.object({ status: z.literal('ok') });
export const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

const tokenFields = {
  id: z.string(),
  user: z.string(),
  role,
  groups: z.array(z.string()),
  note: z.string().exactOptional(),
  createdAt: time,
  createdBy: z.string(),
  expiresAt: time.exactOptional(),
  lastUsedAt: time.exactOptional(),
  lastUsedFrom: z.string().exactOptional(),
};
const token = z.object(tokenFields) satisfies z.ZodType<ShownToken>;
export const madeToken = z.object({ ...tokenFields, token: z.string().describe('Told this once') });
export const tokens = z.object({ tokens: z.array(token), next });

const block = z.object({ since: time, by: z.string(), reason: z.string().exactOptional() });
const deleting = z.object({ since: time, by: z.string(), server: z.string() });
export const blockedUser = z.object({ user: z.string(), blocked: block });
const knownUser = z.object({
  user: z.string(),
  sessions: count,
  sockets: count,
  tokens: count,
  lastSeenAt: time.exactOptional(),
  blocked: block.exactOptional(),
  deleting: deleting.exactOptional(),
}) satisfies z.ZodType<KnownUser>;
export const users = z.object({ users: z.array(knownUser), next });
export const userFacts = z.object({
  user: z.string(),
  sockets: count,
  tokens: count,
  sessions: count,
  workspaceBytes: z.number(),
  historyBytes: z.number(),
  hasUsed: z.boolean(),
  usage: z.object({ ...usageFields, currency: z.string() }).exactOptional(),
  lastSeenAt: time.exactOptional(),
  blocked: block.exactOptional(),
  deleting: deleting.exactOptional(),
}) satisfies z.ZodType<Omit<UserFacts, 'lastActiveAt'>>;
export const kicked = z.object({ user: z.string(), closed: count });
export const erased = z.object({
  user: z.string(),
  deleted: z.boolean(),
  sessions: count,
  tokens: count,
  problem: z.string().exactOptional(),
});

const sandbox = z.object({
  sandbox: z.string(),
  state: z.enum(['starting', 'warm', 'leased', 'draining']),
  session: z.string().exactOptional(),
  user: z.string().exactOptional(),
  server: z.string(),
  image: z.string(),
  leasedAt: time.exactOptional(),
  memoryBytes: z.number().exactOptional(),
  maxMemoryBytes: z.number().exactOptional(),
}) satisfies z.ZodType<SandboxInfo>;
export const sandboxes = z.object({ sandboxes: z.array(sandbox), next });
export const endedSandbox = z.object({ sandbox: z.string(), session: z.string(), saved: z.boolean() });
export const drain = z.object({
  draining: z.boolean(),
  since: time.exactOptional(),
  turns: count,
  calls: count,
  connections: count,
}) satisfies z.ZodType<DrainState>;
export const reloaded = z.object({
  generation: count,
  changed: z.record(z.string(), z.array(z.string())),
  restart: z.array(z.string()),
  warnings: z.array(z.string()),
});
export const system = z.looseObject({
  ready: z.boolean(),
  reasons: z.array(z.string()),
  connections: count,
  attached: count,
  sandboxes: z.array(object),
  limits: object,
  quotas: object,
  pool: object,
});
const sessionSize = z.object({
  session: z.string(),
  user: z.string(),
  model: z.string(),
  createdAt: time,
  lastActiveAt: time,
  turns: count,
  historyBytes: z.number().exactOptional(),
  messages: count.exactOptional(),
  running: z.boolean(),
  queued: count,
  pending: count,
  server: z.string(),
}) satisfies z.ZodType<SessionSize>;
export const sizedSession = sessionSize;
export const sizedSessions = z.object({ sessions: z.array(sessionSize), next });
export { serverStatusSchema as status } from '../../shared/server-status.js';

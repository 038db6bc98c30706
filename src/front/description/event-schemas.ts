/** The events of the protocol as zod schemas, for the descriptions. The types in src/shared/protocol.ts and these are held together by the compiler. */
import { z } from 'zod';
import type { ContentBlock, Pending, ServerEvent, TranscriptEntry } from '../../shared/protocol.js';

const object = z.record(z.string(), z.unknown());
export const count = z.number().int().min(0);
export const time = count.describe('ms since the epoch');
const seq = z.number().int().min(1).describe('Of the session’s log: 1, 2, 3 … without gaps');
const turn = z.number().int().min(1);
const block = count.describe('Number in the turn, over all its rounds');
const offset = count.describe('UTF-16 units before it in its block or stream');
const callId = z.string();
const role = z.enum(['user', 'operator', 'admin']);
const ms = z.number().min(0).describe('Milliseconds');

export const contentBlock = z.union([
  z.object({ type: z.literal('text'), text: z.string(), truncated: z.literal(true).exactOptional() }),
  z.object({
    type: z.enum(['image', 'audio']),
    data: z.string().describe('Base64'),
    mimeType: z.string(),
    truncated: z.literal(true).exactOptional(),
  }),
  z.looseObject({ type: z.enum(['resource', 'resource_link']) }),
]) satisfies z.ZodType<ContentBlock>;

const parts = z.array(z.enum(['description', 'hints', 'arguments', 'result']));
const shownTool = z
  .object({
    title: z.string().exactOptional(),
    description: z.string(),
    hints: z
      .object({
        readOnly: z.boolean().exactOptional(),
        destructive: z.boolean().exactOptional(),
        idempotent: z.boolean().exactOptional(),
        openWorld: z.boolean().exactOptional(),
      })
      .exactOptional(),
    definition: z.string().describe('Names this definition'),
    changed: parts.exactOptional().describe('What differs from the definition that the user saw last in this session'),
    pin: z.object({ state: z.enum(['changed', 'new']), parts }).exactOptional(),
  })
  .describe('The tool in its server’s words, which nobody has checked');

const approvalFields = {
  turn,
  callId,
  name: z.string(),
  server: z.string(),
  args: object,
  tool: shownTool.exactOptional(),
  position: z.number().int().min(1),
  total: z.number().int().min(1),
  expiresAt: time,
};
const questionFields = {
  requestId: z.string(),
  server: z.string(),
  origin: z.literal('sandbox').exactOptional().describe('Code in a sandbox may have written the question'),
  mode: z.enum(['form', 'url']),
  message: z.string(),
  schema: object.exactOptional(),
  url: z.string().exactOptional(),
};

export const pendingCall = z.object({ kind: z.literal('approval'), ...approvalFields });
export const pendingQuestion = z.object({ kind: z.literal('elicitation'), ...questionFields });
export const pending = z.discriminatedUnion('kind', [pendingCall, pendingQuestion]) satisfies z.ZodType<Pending>;

export const usage = z.object({
  inputTokens: count,
  outputTokens: count,
  cacheReadTokens: count,
  cacheWriteTokens: count,
});

export const budgetLeft = z.object({
  of: z.enum(['user', 'group', 'session', 'turn']),
  per: z.enum(['turn', 'session', 'day', 'month']),
  name: z.string().exactOptional(),
  tokens: z.number().exactOptional(),
  amount: z.number().exactOptional(),
  currency: z.string().exactOptional(),
  resetAt: time.exactOptional(),
});

const errorFields = { code: z.string(), message: z.string(), retryAfterMs: count.exactOptional() };
const requestId = z.string().describe('Finds the request in the server’s log');
const action = z.enum(['accept', 'decline', 'cancel']);

export const transcriptEntry = z.object({
  role: z.enum(['user', 'assistant']),
  content: z.array(z.unknown()).describe('Blocks of Anthropic’s Messages API'),
}) satisfies z.ZodType<TranscriptEntry>;

const id = z.string().exactOptional().describe('The frame’s own');

type EventOf<T> = ServerEvent extends infer E
  ? E extends { type: infer U }
    ? T extends U
      ? E
      : never
    : never
  : never;

/** By type. Durable ones have a `seq`. */
export const EVENTS = {
  'session:ready': z.object({
    type: z.literal('session:ready'),
    session: z.string(),
    seq: count.describe('The newest durable event; not the client’s position'),
    resumed: z.boolean(),
    model: z.string(),
    pending: z.array(pending),
    limits: z.object({ maxFrameBytes: count, maxInFlight: count }),
    user: z.string(),
    role,
    expiresAt: time.exactOptional(),
    reset: z.literal(true).exactOptional(),
    transcript: z.array(transcriptEntry).exactOptional(),
    transcriptNext: z.string().exactOptional(),
  }),
  'message:accepted': z.object({
    type: z.literal('message:accepted'),
    seq,
    id: z.string().exactOptional(),
    turn,
    queued: count,
    said: z
      .object({ text: z.string(), truncated: z.literal(true).exactOptional(), images: count.exactOptional() })
      .exactOptional(),
  }),
  'turn:start': z.object({ type: z.literal('turn:start'), seq, turn }),
  'turn:waiting': z.object({
    type: z.literal('turn:waiting'),
    turn,
    reason: z.enum(['model_rate', 'fairness', 'sandbox']),
    retryAfterMs: count.exactOptional(),
  }),
  'text:delta': z.object({ type: z.literal('text:delta'), turn, block, offset, text: z.string() }),
  'thinking:delta': z.object({ type: z.literal('thinking:delta'), turn, block, offset, text: z.string() }),
  text: z.object({ type: z.literal('text'), seq, turn, block, text: z.string() }),
  'tool:approval_required': z.object({ type: z.literal('tool:approval_required'), seq, ...approvalFields }),
  'tool:approved': z.object({
    type: z.literal('tool:approved'),
    seq,
    callId,
    by: z.enum(['user', 'policy']),
    args: object.exactOptional(),
  }),
  'tool:denied': z.object({
    type: z.literal('tool:denied'),
    seq,
    callId,
    name: z.string().exactOptional(),
    server: z.string().exactOptional(),
    by: z.enum(['user', 'policy', 'timeout']),
    reason: z.string().exactOptional(),
  }),
  'tool:start': z.object({
    type: z.literal('tool:start'),
    seq,
    callId,
    name: z.string(),
    server: z.string(),
    args: object,
  }),
  'tool:output': z.object({
    type: z.literal('tool:output'),
    callId,
    stream: z.enum(['stdout', 'stderr', 'progress']),
    offset,
    text: z.string(),
  }),
  'tool:result': z.object({
    type: z.literal('tool:result'),
    seq,
    callId,
    ok: z.boolean(),
    content: z.array(contentBlock),
    structuredContent: object.exactOptional(),
    ms,
  }),
  'elicitation:request': z.object({ type: z.literal('elicitation:request'), seq, ...questionFields }),
  'elicitation:resolved': z.object({
    type: z.literal('elicitation:resolved'),
    seq,
    requestId: z.string(),
    action,
    by: z.enum(['user', 'stop']),
  }),
  'turn:end': z.object({
    type: z.literal('turn:end'),
    seq,
    turn,
    stopReason: z.enum(['end_turn', 'max_tokens', 'cancelled', 'interrupted', 'refusal', 'error']),
    usage,
    ms,
    model: z.string(),
    error: z.object({ ...errorFields, requestId: requestId.exactOptional() }).exactOptional(),
    cost: z.object({ amount: z.number(), currency: z.string() }).exactOptional(),
    budgets: z.array(budgetLeft).exactOptional(),
  }),
  notice: z.object({
    type: z.literal('notice'),
    seq,
    code: z.enum(['budget_80', 'support_look', 'model_refused']),
    message: z.string(),
    budget: budgetLeft.exactOptional(),
  }),
  'history:cleared': z.object({ type: z.literal('history:cleared'), seq }),
  'sandbox:lost': z.object({
    type: z.literal('sandbox:lost'),
    seq,
    server: z.string(),
    reason: z.string(),
    since: time.exactOptional(),
    missing: z.array(z.string()).exactOptional(),
  }),
  'files:changed': z.object({
    type: z.literal('files:changed'),
    seq,
    turn: turn.exactOptional().describe('Of the call that has made it; absent: its user has'),
    changes: z.array(
      z.object({
        path: z.string(),
        change: z.enum(['created', 'changed', 'deleted', 'moved']),
        size: count.exactOptional(),
        from: z.string().exactOptional(),
      }),
    ),
    truncated: z.literal(true).exactOptional(),
  }),
  // Facts of some errors stand beside the code.
  error: z.looseObject({ type: z.literal('error'), id, requestId: requestId.exactOptional(), ...errorFields }),
  pong: z.object({ type: z.literal('pong'), id }),
  'auth:refreshed': z.object({ type: z.literal('auth:refreshed'), id, role, expiresAt: time.exactOptional() }),
  'sandbox:restarted': z.object({ type: z.literal('sandbox:restarted'), restarted: count }),
} satisfies { [T in ServerEvent['type']]: z.ZodType<EventOf<T>> };

/** What each says, for a reader. */
export const EVENT_WORDS: Record<ServerEvent['type'], string> = {
  'session:ready': 'You are attached: the first event on every socket',
  'message:accepted': 'The message is stored and will run',
  'turn:start': 'Its turn runs',
  'turn:waiting': 'It waits for the model, or for a sandbox',
  'text:delta': 'The model writes',
  'thinking:delta': 'The model thinks',
  text: 'A finished block of text',
  'tool:approval_required': 'A call waits for a yes',
  'tool:approved': 'The call may run',
  'tool:denied': 'The call does not run',
  'tool:start': 'A call begins to run',
  'tool:output': 'What it prints meanwhile',
  'tool:result': 'Its result',
  'elicitation:request': 'An MCP server asks the user',
  'elicitation:resolved': 'That question is closed',
  'turn:end': 'The turn is over, and why',
  notice: 'What the user should know',
  'history:cleared': 'The conversation was forgotten',
  'sandbox:lost': 'Files are gone with their sandbox',
  'files:changed': 'Files of the workspace have changed',
  error: 'A frame failed',
  pong: 'The answer to a ping',
  'auth:refreshed': 'The socket stands on a newer credential',
  'sandbox:restarted': 'Sandboxes were saved and ended',
};

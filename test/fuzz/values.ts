/** Well-formed and nearly well-formed frames, bodies and MCP messages, by fast-check: the seeds of the corpus. Pure. */
import * as fc from 'fast-check';

const anyJson = fc.jsonValue({ maxDepth: 4 });
const name = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom('workspace', 'raw', 'run_command', '__proto__', ''),
);
const anyId = fc.oneof(fc.string({ maxLength: 140 }), fc.integer(), fc.constant(null), fc.uuid());
const block = fc.oneof(
  fc.record({ type: fc.constant('text'), text: fc.string({ unit: 'binary', maxLength: 200 }) }),
  fc.record({
    type: fc.constant('image'),
    mimeType: fc.constantFrom('image/png', 'image/jpeg', 'text/html'),
    data: fc.base64String({ maxLength: 400 }),
  }),
  anyJson,
);

const frame = fc.oneof(
  fc.record(
    {
      type: fc.constant('message'),
      id: anyId,
      text: fc.string({ unit: 'binary' }),
      content: fc.array(block, { maxLength: 5 }),
    },
    { requiredKeys: ['type'] },
  ),
  fc.record(
    {
      type: fc.constant('tool:approval'),
      id: anyId,
      callId: anyId,
      approved: fc.oneof(fc.boolean(), anyJson),
      args: anyJson,
      reason: fc.string(),
      remember: fc.constantFrom('session', 'for ever'),
    },
    { requiredKeys: ['type', 'callId', 'approved'] },
  ),
  fc.record(
    {
      type: fc.constant('elicitation:reply'),
      requestId: anyId,
      action: fc.oneof(fc.constantFrom('accept', 'decline', 'cancel'), fc.string()),
      content: anyJson,
    },
    { requiredKeys: ['type', 'requestId'] },
  ),
  fc.record({
    type: fc.constantFrom('turn:cancel', 'history:reset', 'ping', 'model:set', 'sandbox:restart'),
    id: anyId,
  }),
  anyJson,
);

const content = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('text'), text: fc.string({ unit: 'binary' }) }),
    fc.record({ type: fc.constantFrom('image', 'audio'), data: fc.string(), mimeType: fc.string() }),
    fc.record({ type: fc.constant('resource'), resource: anyJson }),
    fc.record({ type: fc.constant('resource_link'), uri: fc.string(), name: fc.string() }),
    anyJson,
  ),
  { maxLength: 5 },
);
const METHODS = [
  'notifications/progress',
  'notifications/message',
  'notifications/tools/list_changed',
  'notifications/cancelled',
  'notifications/resources/updated',
  'notifications/elicitation/complete',
  'notifications/none',
  'elicitation/create',
  'sampling/createMessage',
  'roots/list',
  'ping',
  'initialize',
  'tools/call',
  'none',
];
const version = fc.constantFrom('2.0', '2.0', '2.0', '1.0');
/** What a server may send. */
const message = fc.oneof(
  fc.record({
    jsonrpc: version,
    id: anyId,
    result: fc.oneof(fc.record({ content }), fc.record({ content, structuredContent: anyJson }), anyJson),
  }),
  fc.record({
    jsonrpc: version,
    id: anyId,
    error: fc.oneof(fc.record({ code: fc.integer(), message: fc.string() }), anyJson),
  }),
  fc.record({ jsonrpc: version, method: fc.constantFrom(...METHODS), params: anyJson }),
  fc.record({ jsonrpc: version, id: anyId, method: fc.constantFrom(...METHODS), params: anyJson }),
  fc.record({
    jsonrpc: version,
    method: fc.constant('notifications/progress'),
    params: fc.record({ progressToken: anyId, progress: fc.double(), total: fc.double(), message: fc.string() }),
  }),
);
/** What a client may send to /mcp. */
const request = fc.record(
  {
    jsonrpc: version,
    id: anyId,
    method: fc.constantFrom('initialize', 'ping', 'tools/list', 'tools/call', 'resources/read', 'prompts/get', 'none'),
    params: fc.oneof(anyJson, fc.record({ name, arguments: anyJson, _meta: anyJson }, { requiredKeys: ['name'] })),
  },
  { requiredKeys: ['method'] },
);
const body = fc.oneof(
  fc.record({ text: fc.string({ unit: 'binary' }) }),
  fc.record({ content: fc.array(block, { maxLength: 5 }) }),
  fc.record({ approved: fc.boolean(), args: anyJson }),
  fc.record({ action: fc.string(), content: anyJson }),
  fc.record({ model: fc.string() }),
  anyJson,
);

const KINDS = { frame, message, request, body };

/** `count` texts of one kind; the same for the same seed. */
export function samples(kind: keyof typeof KINDS, count: number, seed: number): string[] {
  return fc.sample<unknown>(KINDS[kind], { numRuns: count, seed }).map((value) => JSON.stringify(value));
}

import { ProtocolError, ProtocolErrorCode, type CallToolResult } from '@modelcontextprotocol/client';
import pino from 'pino';
import t from 'tap';
import { parseConfig } from '../../../../../src/shared/config.js';
import { FairleadError } from '../../../../../src/shared/errors.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';
import { createPolicy } from '../../../../../workers/agent/mcp/calls/policy.js';
import {
  runTool,
  type CallOutcome,
  type CallSink,
  type RunParts,
} from '../../../../../workers/agent/mcp/calls/run-tool.js';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import { NOBODY } from '../../../../../workers/agent/mcp/catalogue/nobody.js';
import { buildToolSet } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';
import { InputWanted } from '../../../../../workers/agent/mcp/host/input-wanted.js';
import type { ServerConnection, ToolCall } from '../../../../../workers/agent/mcp/host/server-connection.js';

const CALLER = { user: 'ada', session: 'one' };
const STATUS: ToolDefinition = {
  name: 'status',
  description: '',
  inputSchema: { type: 'object' },
  outputSchema: { type: 'object', properties: { up: { type: 'boolean' } }, required: ['up'] },
};

interface Bench {
  noted: string[];
  calls: ToolCall[];
  run: (server: string, name: string, args?: Record<string, unknown>, sink?: Partial<CallSink>) => Promise<CallOutcome>;
}

/** `answer`: what the one connection to any server does. */
function bench(answer: () => Promise<unknown>): Bench {
  const noted: string[] = [];
  const calls: ToolCall[] = [];
  const connection = {
    era: 'modern',
    capabilities: { resources: {} },
    callTool: (call: ToolCall) => {
      calls.push(call);
      return answer();
    },
    sendToolCall: answer,
    request: answer,
  } as unknown as ServerConnection;
  const config = parseConfig({ mcpServers: { fast: { image: 'x', timeoutMs: 7 } }, sandbox: { toolTimeoutMs: 9 } }, {});
  const toolSet = buildToolSet({ fast: [STATUS] }, { notes: { docs: { resources: true } } });
  const parts = {
    config,
    toolArgs: new ToolArgs(pino({ level: 'silent' })),
    policy: createPolicy(config.approvals),
    toolSet: () => toolSet,
    servers: { connection: async () => connection, releaseSession: async () => undefined },
    catalogue: {
      noteGood: (server: string) => noted.push(`good ${server}`),
      noteTrouble: (user: string, server: string, text: string) => noted.push(`${user}: ${server}: ${text}`),
    },
  } as unknown as RunParts;
  const signal = new AbortController().signal;
  const run: Bench['run'] = (server, name, args = {}, sink = {}) =>
    runTool(parts, { caller: CALLER, server, name, args }, { signal, asks: NOBODY, ...sink });
  return { noted, calls, run };
}

function failing(error: Error): Bench {
  return bench(async () => {
    throw error;
  });
}

const result = (more: Partial<CallToolResult> = {}): CallToolResult => ({
  content: [{ type: 'text', text: 'fine' }],
  ...more,
});

t.test('an answer is its server’s good health, and is checked against the tool’s output schema', async (t) => {
  const fine = bench(async () => result({ structuredContent: { up: true } }));
  t.strictSame(await fine.run('fast', 'status'), {
    kind: 'answered',
    result: result({ structuredContent: { up: true } }),
  });
  t.match(fine.calls, [{ name: 'status', definition: STATUS, timeoutMs: 7 }]);
  t.same(fine.noted, ['good fast']);
  const odd = bench(async () => result({ structuredContent: { up: 'yes' } }));
  t.match(await odd.run('fast', 'status'), { kind: 'answered', problem: /up.*boolean/ });
  const failed = bench(async () => result({ structuredContent: {}, isError: true }));
  t.notMatch(await failed.run('fast', 'status'), { problem: String }, 'an error need not fit');
});

t.test(
  'a failure is its server’s trouble, unless the server refused the request or the caller cancelled',
  async (t) => {
    const away = failing(new FairleadError('ERR_UNAVAILABLE', 'away'));
    t.match(await away.run('fast', 'status'), { kind: 'failed', text: 'ERR_UNAVAILABLE: away' });
    t.same(away.noted, ['ada: fast: ERR_UNAVAILABLE: away']);
    const cause = new ProtocolError(ProtocolErrorCode.InvalidParams, 'no such thing');
    const refused = failing(new FairleadError('ERR_MCP', 'no such thing', { cause }));
    t.match(await refused.run('fast', 'status'), { kind: 'failed', text: 'ERR_MCP: no such thing' });
    t.same(refused.noted, []);
    const cancelled = failing(new FairleadError('ERR_CANCELLED', 'cancelled'));
    t.same(await cancelled.run('fast', 'status'), { kind: 'cancelled' });
    t.same(cancelled.noted, []);
    const fault = failing(new TypeError('a secret of ours'));
    t.match(await fault.run('fast', 'status'), { text: 'ERR_INTERNAL: internal error' });
  },
);

t.test(
  'a resource that cannot be read is trouble of the server that has it, one that can its good health',
  async (t) => {
    const args = { server: 'docs', uri: 'a:b' };
    const away = failing(new FairleadError('ERR_UNAVAILABLE', 'away'));
    t.match(await away.run('@fairlead', 'read_resource', args), { kind: 'failed' });
    t.same(away.noted, ['ada: docs: ERR_UNAVAILABLE: away']);
    const there = bench(async () => ({ contents: [{ uri: 'a:b', text: 'milk' }] }));
    t.match(await there.run('@fairlead', 'read_resource', args), {
      kind: 'answered',
      result: { content: [{ type: 'resource', resource: { text: 'milk' } }] },
    });
    t.same(there.noted, ['good docs']);
  },
);

t.test('a sink that makes the requests itself is handed each one’s answer', async (t) => {
  const answers = [new InputWanted({ resultType: 'input_required' }, []), result()];
  const { run } = bench(async () => answers.shift());
  const seen: unknown[] = [];
  const outcome = await run(
    'fast',
    'status',
    {},
    {
      sendAll: async (send) => {
        seen.push(await send({}));
        return (await send({ requestState: 's' })) as CallToolResult;
      },
    },
  );
  t.ok(seen[0] instanceof InputWanted);
  t.match(outcome, { kind: 'answered', result: result() });
});

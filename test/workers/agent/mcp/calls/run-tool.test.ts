import { ProtocolError, ProtocolErrorCode, type CallToolResult } from '@modelcontextprotocol/client';
import t from 'tap';
import { FairleadError } from '../../../../../src/shared/errors.js';
import { runTool, type CallOutcome, type CallSink } from '../../../../../workers/agent/mcp/calls/run-tool.js';
import { NOBODY } from '../../../../../workers/agent/mcp/catalogue/nobody.js';
import { InputWanted } from '../../../../../workers/agent/mcp/host/input-wanted.js';
import { scriptedParts, STATUS, type ScriptedParts } from './scripted-parts.js';

interface Bench extends Omit<ScriptedParts, 'parts'> {
  run: (server: string, name: string, args?: Record<string, unknown>, sink?: Partial<CallSink>) => Promise<CallOutcome>;
}

function bench(answer: () => Promise<unknown>): Bench {
  const { parts, noted, calls } = scriptedParts(answer);
  const caller = { user: 'ada', session: 'one' };
  const { signal } = new AbortController();
  const run: Bench['run'] = (server, name, args = {}, sink = {}) =>
    runTool(parts, { caller, server, name, args }, { signal, asks: NOBODY, ...sink });
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
    t.same(away.noted, ['ada: fast: away']);
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
    t.same(away.noted, ['ada: docs: away']);
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

t.test('a long list of resources is given in parts, each of which says where the next begins', async (t) => {
  const resources = Array.from({ length: 450 }, (_, index) => ({
    uri: `docs://${index}`,
    name: `page ${index}`,
    description: 'x'.repeat(index < 100 ? 500 : 0),
  }));
  const docs = bench(async () => ({ resources }));
  const seen: string[] = [];
  let offset = 1;
  for (let parts = 0; seen.length < 450 && parts < 10; parts++) {
    const outcome = await docs.run('@fairlead', 'list_resources', { server: 'docs', offset });
    if (outcome.kind !== 'answered') throw new Error(outcome.kind);
    const [lines, note] = outcome.result.content.map((block) => (block.type === 'text' ? block.text : ''));
    t.ok((lines ?? '').length <= 60_500);
    seen.push(...(lines ?? '').split('\n'));
    const next = /continue with offset (\d+)/.exec(note ?? '')?.[1];
    t.equal(next === undefined, seen.length === 450);
    offset = Number(next ?? 0);
  }
  t.equal(new Set(seen).size, 450);
  t.match(await docs.run('@fairlead', 'list_resources', { server: 'docs', offset: 451 }), {
    result: { content: [{ text: /offset 451 is past the last/ }] },
  });
});

t.test('a call that the rules of now deny reaches no server, whatever they said when it was allowed', async (t) => {
  const { parts, calls } = scriptedParts(async () => result(), { rules: [{ tool: 'status', action: 'deny' }] });
  const { signal } = new AbortController();
  const call = { caller: { user: 'ada', session: 'one' }, server: 'fast', name: 'status', args: {} };
  t.match(await runTool(parts, call, { signal, asks: NOBODY }), { kind: 'failed', error: { code: 'ERR_DENIED' } });
  t.same(calls, []);
});

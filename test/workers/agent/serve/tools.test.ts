import { ProtocolError, ProtocolErrorCode, type CallToolResult, type InputRequest } from '@modelcontextprotocol/server';
import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { ServeParts } from '../../../../workers/agent/serve/parts.js';
import { ServedCall, type CallLink } from '../../../../workers/agent/serve/served-call.js';
import { callServedTool } from '../../../../workers/agent/serve/tools.js';
import { buildToolSet } from '../../../../workers/agent/mcp/catalogue/tool-names.js';
import type { RunParts } from '../../../../workers/agent/mcp/calls/run-tool.js';
import { scriptedParts, STATUS } from '../mcp/calls/scripted-parts.js';

const OF = { user: 'ada', session: 'one', kept: true, owner: 'client' };

/** Calls the one tool, which answers so, for a client that can be asked nothing, or with what it answers to each question. */
function call(
  answer: () => Promise<unknown>,
  approvals: object = { default: 'allow' },
  {
    args = {},
    onQuestion,
    agent = scriptedParts(answer, approvals).parts,
    losses = [],
  }: {
    args?: Record<string, unknown>;
    onQuestion?: (request: InputRequest) => unknown;
    agent?: RunParts;
    losses?: string[];
  } = {},
): Promise<CallToolResult> {
  const tool = agent.toolSet(OF).of('fast', 'status')!;
  const served = new ServedCall({ waitMs: 1_000, onEnd: () => undefined });
  const takeLosses: ServeParts['takeLosses'] = async () => losses.map((text) => ({ type: 'text', text }));
  const parts = { agent, takeLosses } as unknown as ServeParts;
  const work = () => callServedTool(parts, { of: OF, tool, args, call: served, allowed: [] });
  if (!onQuestion) return work();
  const link: CallLink = {
    signal: new AbortController().signal,
    capabilities: { elicitation: { form: {} } },
    logLevel: undefined,
    onProgress: () => undefined,
    onLog: () => undefined,
    push: async (request) => onQuestion(request),
  };
  return new Promise((resolve, reject) => {
    served.start(link, undefined, async () => {
      await work().then(resolve, reject);
      return {};
    });
  });
}

function failing(error: Error): Promise<CallToolResult> {
  return call(async () => {
    throw error;
  });
}

t.test('a result begins with what was lost of its server’s files, a failure too', async (t) => {
  const content = [{ type: 'text', text: 'up' }];
  const options = { losses: ['lost'] };
  t.match(await call(async () => ({ content }), undefined, options), { content: [{ text: 'lost' }, { text: 'up' }] });
  const failure = Promise.reject(new FairleadError('ERR_SANDBOX', 'it ended'));
  t.match(await call(() => failure, undefined, options), {
    isError: true,
    content: [{ text: 'lost' }, { text: /it ended/ }],
  });
});

t.test('a client is warned of structured content that does not fit the tool’s output schema', async (t) => {
  const content = [{ type: 'text', text: 'up' }];
  const fits = { content, structuredContent: { up: true } };
  t.strictSame(await call(async () => fits), fits);
  const odd = { content, structuredContent: { up: 'yes' } };
  t.match(await call(async () => odd), {
    ...odd,
    content: [content[0], { text: /does not fit the tool's output schema/ }],
  });
});

t.test('what goes wrong in a tool is its result, what the server refuses is an error of the protocol', async (t) => {
  t.match(await failing(new FairleadError('ERR_SANDBOX', 'it died')), {
    isError: true,
    content: [{ text: 'ERR_SANDBOX: it died' }],
  });
  const cause = new ProtocolError(ProtocolErrorCode.InvalidParams, 'no such thing');
  await t.rejects(failing(new FairleadError('ERR_MCP', 'no such thing', { cause })), cause);
  await t.rejects(failing(new FairleadError('ERR_CANCELLED', 'cancelled')), { code: 'ERR_CANCELLED' });
});

t.test('the rules decide before the server is asked', async (t) => {
  let asked = 0;
  const answer = async (): Promise<CallToolResult> => {
    asked++;
    return { content: [] };
  };
  t.match(await call(answer, { default: 'deny' }), {
    isError: true,
    content: [{ text: /denied by the approval rules/ }],
  });
  t.match(await call(answer, { default: 'ask' }), { isError: true, content: [{ text: /The user must allow it/ }] });
  t.equal(asked, 0);
  t.strictSame(await call(answer), { content: [] });
  t.equal(asked, 1);
});

t.test('a user who is asked sees all arguments; what is too long to be shown does not run', async (t) => {
  const asked: string[] = [];
  const onQuestion = ({ params }: InputRequest): unknown => {
    asked.push(String((params as { message?: string }).message));
    return { action: 'accept', content: {} };
  };
  const run = (text: string) => call(async () => ({ content: [] }), { default: 'ask' }, { args: { text }, onQuestion });
  t.strictSame(await run(`${'a'.repeat(30_000)}; rm -rf /`), { content: [] });
  t.match(asked, [/; rm -rf \//]);
  t.match(await run('a'.repeat(40_000)), { isError: true, content: [{ text: /longer than what a question shows/ }] });
  t.equal(asked.length, 1);
  await run('gpj.\u202Eexe');
  t.match(asked[1], String.raw`gpj.\u202eexe`, 'nothing reorders what is read');
});

t.test('a yes over /mcp shows the tool’s own words, and runs nothing when the tool changed meanwhile', async (t) => {
  let ran = 0;
  const answer = async (): Promise<CallToolResult> => ({ content: [{ type: 'text', text: `ran ${++ran}` }] });
  const agent = { ...scriptedParts(answer, { default: 'ask' }).parts };
  const described = (description: string) => {
    const set = buildToolSet({ fast: [{ ...STATUS, description, annotations: { readOnlyHint: true } }] });
    agent.toolSet = () => set;
  };
  described('Tells whether it is up');
  const shown: string[] = [];
  const yes = (then: () => void) => (request: InputRequest) => {
    shown.push(String((request.params as { message?: string }).message));
    then();
    return { action: 'accept', content: {} };
  };
  t.match(await call(answer, {}, { agent, onQuestion: yes(() => undefined) }), { content: [{ text: 'ran 1' }] });
  t.match(shown[0], /Its server describes it so: "Tells whether it is up"\nreadOnly: true$/);
  const changed = await call(answer, {}, { agent, onQuestion: yes(() => described('Sends it to everybody')) });
  t.match(changed, { isError: true, content: [{ text: /has changed since the user was asked/ }] });
  t.equal(ran, 1);
});

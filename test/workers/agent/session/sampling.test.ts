import { McpServer, type CreateMessageRequest } from '@modelcontextprotocol/server';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { png } from '../../../helpers/images.js';
import { HANDSHAKE, serveOnPort } from '../../../helpers/port-mcp-server.js';
import { OF, startBench, type AgentBench, type EventOf } from '../agent-bench.js';
import { callsTools, says, USAGE } from '../scripted-model.js';

const PNG = png(1, 1);

type Params = CreateMessageRequest['params'];
type Asked = EventOf<'elicitation:request'>;

const CALL = { id: 'c-1', name: 'ask', input: { times: 1 } };
const user = (text: string): Params['messages'][number] => ({ role: 'user', content: { type: 'text', text } });
const PARAMS: Params = {
  messages: [user('What is the capital of France?')],
  maxTokens: 5_000,
  systemPrompt: 'Be brief',
};

/** Its tool samples as often as it is told to, one request after another, and answers with each outcome. */
function createServer(params: Params): McpServer {
  const server = new McpServer({ name: 'asks', version: '1' }, { capabilities: { tools: {} } });
  server.registerTool('ask', { inputSchema: z.strictObject({ times: z.number() }) }, async ({ times }, { mcpReq }) => {
    const answers: unknown[] = [];
    for (let time = 0; time < times; time++) {
      answers.push(await mcpReq.requestSampling(params).catch((error: unknown) => (error as Error).message));
    }
    return { content: [{ type: 'text', text: JSON.stringify(answers) }] };
  });
  return server;
}

interface BenchOptions {
  sampling?: object;
  isAllowed?: boolean;
  params?: Params;
}

async function start(
  t: Test,
  { sampling = {}, isAllowed = true, params = PARAMS }: BenchOptions = {},
): Promise<AgentBench> {
  const mcpServers = { workspace: { image: 'fairlead/workspace', ...(isAllowed ? { sampling } : {}) } };
  const bench = await startBench(t, { approvals: { default: 'allow' }, mcpServers });
  bench.onLease = async ({ port }) => {
    bench.sandboxes.push(await serveOnPort(port, createServer(params), { sampling: {}, elicitation: {} }));
    return { sandbox: 'box-1', handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
  };
  return bench;
}

function reply(bench: AgentBench, { requestId }: Asked, action: 'accept' | 'decline'): Promise<null> {
  return bench.request('answer-elicitation', { ...OF, requestId, action });
}

async function answers(bench: AgentBench): Promise<unknown[]> {
  const { content } = await bench.event('tool:result');
  const [block] = content;
  return JSON.parse(block?.type === 'text' ? block.text : '[]') as unknown[];
}

void t.test(
  'a server’s question goes to the session’s model after the person’s yes, and its usage to the turn',
  async (t) => {
    const bench = await start(t);
    bench.model.next(callsTools([CALL]), says('Paris'), says('it is Paris'));
    await bench.say('go');
    const asked = await bench.event('elicitation:request');
    t.match(asked, { server: 'workspace', mode: 'form', schema: { type: 'object', properties: {} } });
    t.match(asked.message, /workspace.*at most 1024 tokens.*Be brief.*capital of France/s);
    t.equal(bench.model.requests.length, 1, 'nothing is asked of the model before the yes');
    await reply(bench, asked, 'accept');
    t.match(await answers(bench), [
      { role: 'assistant', content: { type: 'text', text: 'Paris' }, stopReason: 'endTurn' },
    ]);
    const [, sampled] = bench.model.requests;
    t.match(sampled, { system: 'Be brief', maxTokens: 1024, tools: [] });
    t.same(sampled?.messages, [{ role: 'user', content: [{ type: 'text', text: 'What is the capital of France?' }] }]);
    const { usage } = await bench.turnEnd(1);
    t.equal(usage.outputTokens, 3 * USAGE.outputTokens, 'of three answers');
  },
);

void t.test('a no is an error to the server, and the model is not asked', async (t) => {
  const bench = await start(t);
  bench.model.next(callsTools([CALL]), says('well'));
  await bench.say('go');
  await reply(bench, await bench.event('elicitation:request'), 'decline');
  t.match(await answers(bench), [/did not allow/]);
  await bench.turnEnd(1);
  t.equal(bench.model.requests.length, 2);
});

void t.test('a server may sample up to its limit in one call, and no more', async (t) => {
  const bench = await start(t, { sampling: { maxPerCall: 2, maxTokens: 10 } });
  bench.model.next(callsTools([{ ...CALL, input: { times: 3 } }]), says('one'), says('two'), says('done'));
  await bench.say('go');
  const first = await bench.event('elicitation:request');
  await reply(bench, first, 'accept');
  await reply(
    bench,
    await bench.event('elicitation:request', (other) => other.requestId !== first.requestId),
    'accept',
  );
  t.match(await answers(bench), [
    { content: { text: 'one' } },
    { content: { text: 'two' } },
    /only 2 sampling requests/,
  ]);
  await bench.turnEnd(1);
});

void t.test(
  'sampling is refused unless the configuration allows it, and so is a request that the model cannot take',
  async (t) => {
    const audio = { role: 'user' as const, content: { type: 'audio' as const, data: PNG, mimeType: 'audio/wav' } };
    const cases: [BenchOptions, RegExp][] = [
      [{ isAllowed: false }, /./],
      [{ params: { ...PARAMS, messages: [audio] } }, /not audio/],
      [{ params: { ...PARAMS, messages: [] } }, /1 to 100 messages/],
      [{ params: { ...PARAMS, messages: [user('x'.repeat(1_048_577))] } }, /larger than 1048576 bytes/],
      [{ params: { ...PARAMS, messages: [user('x'.repeat(32_768))] } }, /shows at most 32768 characters/],
    ];
    for (const [options, message] of cases) {
      const bench = await start(t, options);
      bench.model.next(callsTools([CALL]), says('well'));
      await bench.say('go');
      t.match(await answers(bench), [message]);
      t.notOk(bench.types().includes('elicitation:request'));
      await bench.turnEnd(1);
    }
  },
);

void t.test('a question shows all of its text, a picture by its name, and goes to the model whole', async (t) => {
  const image = { type: 'image' as const, data: PNG, mimeType: 'image/png' };
  const long = 'y'.repeat(5_000);
  const bench = await start(t, { params: { ...PARAMS, messages: [{ role: 'user', content: image }, user(long)] } });
  bench.model.next(callsTools([CALL]), says('a picture'), says('done'));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  t.match(asked.message, /user: \(image\)/);
  t.ok(asked.message.includes(long));
  await reply(bench, asked, 'accept');
  await bench.turnEnd(1);
  t.match(bench.model.requests[1]?.messages, [
    { content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] },
    { content: [{ type: 'text', text: long }] },
  ]);
});

void t.test('a turn that is cancelled while the user is asked sends nothing to the model', async (t) => {
  const bench = await start(t);
  bench.model.next(callsTools([CALL]));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  await t.rejects(reply(bench, asked, 'accept'), { code: 'ERR_CALL_NOT_PENDING' });
  t.equal(bench.model.requests.length, 1);
});

import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { SentContext } from '../../../../workers/agent/model/context.js';
import type { Model, ModelRequest, PromptSize } from '../../../../workers/agent/model/model.js';
import { readPromptSize, saysTooLong } from '../../../../workers/agent/model/prompt-size.js';
import { png } from '../../../helpers/images.js';
import { startModelServer, type ModelServer, type Reply, type RequestBody } from '../../../helpers/model-server.js';
import { ask, configFor, listen } from './streams.js';
import { assistant, image, result, use, user } from './transcripts.js';

const OK: Reply = { blocks: [{ text: 'fine' }] };

async function start(t: Test, settings: Record<string, unknown> = {}): Promise<{ server: ModelServer; model: Model }> {
  const server = await startModelServer();
  t.teardown(() => server.close());
  return { server, model: createAnthropicModel(configFor(server.url, settings)) };
}

const refuses = (message: string, status = 400): Reply => ({ status, error: { message } });
const said = (body: RequestBody | undefined): string => JSON.stringify(body ?? {});

/** The same conversation later, with what the answer said of it. */
const next = (request: ModelRequest, withheld: string[] | undefined): ModelRequest => ({
  ...request,
  messages: [...request.messages, assistant('fine'), user('and now?')],
  withheld,
});

const tools = ['first', 'second', 'third'].map((name) => ({
  name,
  description: `does ${name}`,
  inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
}));

const PICTURE = png(20, 20);
const history: TranscriptMessage[] = [
  user('one'),
  assistant('1'),
  user('two', image('image/png', PICTURE)),
  assistant(use('a', { path: 'poison' })),
  user({ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'words' }, image('image/png')] }),
  assistant('2'),
  user('three'),
];

const NAMED: Record<string, [refusal: string, gone: RegExp]> = {
  'an image': [
    'messages.2.content.1.image.source.base64.data: Could not process image',
    new RegExp(PICTURE.slice(18, 32)),
  ],
  'an image in a result': [
    'messages.4.content.0.tool_result.content.1.image.source.base64.data: bad',
    /"tool_result"[^\]]*"image"/,
  ],
  'the text of a result': ['messages.4.content.0.tool_result.content.0.text: bad', /"words"/],
  'a whole result': ['messages.4.content.0.tool_result: bad', /"words"/],
  'the arguments of a call': ['messages.3.content.0.tool_use.input: bad', /poison/],
  'a text': ['messages.0.content.0.text.text: bad', /"one"/],
  'a whole message': ['messages.0: all messages must be good', /"one"/],
  'a path with brackets': ['Invalid value at messages[0].content[0].text', /"one"/],
  'a path as a list': ['[{"loc":["body","messages",4,"content",0],"msg":"bad"}]', /"words"/],
  'a tool': ['tools.1.custom.input_schema: JSON schema is invalid', /does second/],
  'a function of a gateway': ["Invalid schema for function 'second': bad parameters", /does second/],
};

for (const [what, [refusal, gone]] of Object.entries(NAMED)) {
  t.test(`a refusal that names ${what} costs that part alone, now and in the next turn`, async (t) => {
    const { server, model } = await start(t);
    const request = ask({ messages: history, tools });
    server.enqueue(refuses(refusal), OK, OK);
    const { answer } = await listen(model, request);
    t.match(answer.content, [{ type: 'text', text: 'fine' }]);
    t.equal(server.count, 2);
    // Messages before the refused request: the first has it, the second does not.
    t.match(said(server.requests[0]?.body), gone);
    t.notMatch(said(server.requests[1]?.body), gone);
    t.match(said(server.requests[1]?.body), /refused/, 'the model is told');
    t.match(said(server.requests[1]?.body), /"three"/);
    t.ok(answer.withheld && answer.withheld.length > 0);
    t.match(answer.leftOut, /^a (?:tool|function)/.test(what) ? /schema of second\.$/ : /a part of a message\.$/);
    await listen(model, next(request, answer.withheld));
    t.equal(server.count, 3, 'one request is enough now');
    t.notMatch(said(server.requests[2]?.body), gone);
    t.same(server.violations, []);
  });
}

t.test('a tool that is refused without its schema too is left out, and the model is told its name', async (t) => {
  const { server, model } = await start(t);
  server.enqueue(refuses('tools.1.custom.input_schema: bad'), refuses('tools.1.custom.name: bad'), OK);
  const { answer } = await listen(model, ask({ tools }));
  t.match(answer.leftOut, /asked again without: the tool second\.$/);
  const { body } = server.requests[2]!;
  t.same(
    (body['tools'] as { name: string }[]).map(({ name }) => name),
    ['first', 'third'],
  );
  t.match(JSON.stringify(body['system']), /second/);
});

t.test('a refusal that names nothing costs images, then definitions, then older turns, then results', async (t) => {
  const { server, model } = await start(t);
  const messages = [...history, assistant(use('b')), user(result('b', 'newest result'))];
  server.enqueue(...Array.from({ length: 4 }, () => refuses('Bad Request')), OK, OK);
  const request = ask({ messages, tools });
  const { answer } = await listen(model, request);
  const bodies = server.requests.map(({ body }) => said(body));
  t.notMatch(bodies[1], /"image"/);
  t.match(bodies[1], /does first/);
  t.notMatch(bodies[2], /does first/);
  t.match(bodies[2], /"one"/);
  t.notMatch(bodies[3], /"one"/);
  t.match(bodies[3], /Earlier messages/);
  t.match(bodies[3], /newest result/);
  t.notMatch(bodies[4], /newest result/);
  t.match(bodies[4], /"tools":/, 'results go before the tools do');
  t.match(bodies[4], /"three"/);
  t.match(answer.leftOut, /images.*tools are described.*earlier messages.*results\.$/);
  await listen(model, next(request, answer.withheld));
  t.equal(server.count, 6);
  t.same(server.violations, []);
});

const called = [user('list them'), assistant(use('a')), user(result('a', 'poison'))];

t.test('a result that is refused without a name costs no tools', async (t) => {
  const { server, model } = await start(t);
  server.script(({ body }) => (said(body).includes('poison') ? refuses('invalid content') : OK));
  const request = ask({ messages: called, tools });
  const { answer } = await listen(model, request);
  t.match(server.requests.at(-1)?.body['tools'], { length: 3 });
  await listen(model, next(request, answer.withheld));
  t.match(server.requests.at(-1)?.body['tools'], { length: 3 });
  t.same(server.violations, []);
});

t.test(
  'tools that are refused whatever they are come back in the next turn, and are missing in all of this one',
  async (t) => {
    for (const refusal of ['Bad Request', 'this model does not support tools']) {
      const { server, model } = await start(t);
      server.script(({ body }) => {
        if (body['tools'] !== undefined) return refuses(refusal);
        const holdsCall = /"type":"tool_(?:use|result)"/.test(said(body));
        return holdsCall ? refuses('Requests which include `tool_use` blocks must define tools') : OK;
      });
      const request = ask({ messages: [user('one'), assistant('1'), ...called], tools });
      const { answer } = await listen(model, request);
      t.match(answer.content, [{ text: 'fine' }]);
      if (refusal !== 'Bad Request') t.match(said(server.requests.at(-1)?.body), /Called read_file.*Result of.*poison/);
      const before = server.count;
      const later = [...request.messages, assistant(use('b')), user(result('b'))];
      await listen(model, { ...request, messages: later, withheld: answer.withheld });
      t.equal(server.count, before + 1, 'the turn goes on without');
      server.script(() => OK);
      await listen(model, next(request, answer.withheld));
      t.match(server.requests.at(-1)?.body['tools'], { length: 3 });
      t.same(server.violations, []);
    }
  },
);

t.test('a text that is refused while there are no tools is left out, also where it was a result', async (t) => {
  const { server, model } = await start(t);
  server.script(({ body }) => {
    if (body['tools'] !== undefined) return refuses('tools are not supported');
    return said(body).includes('poison') ? refuses('messages.2.content.1.text: bad') : OK;
  });
  const { answer } = await listen(model, ask({ messages: called, tools }));
  t.match(answer.content, [{ text: 'fine' }]);
  t.match(said(server.requests.at(-1)?.body), /Result of read_file/);
  t.same(server.violations, []);
});

t.test('a conversation that is too long for the model goes on with its newest turn', async (t) => {
  for (const [message, status] of [
    ['prompt is too long: 210000 tokens > 200000 maximum', 400],
    ['Request exceeds the maximum size', 413],
  ] as const) {
    const { server, model } = await start(t);
    server.enqueue(refuses(message, status), OK);
    await listen(model, ask({ messages: history, tools }));
    t.notMatch(said(server.requests[1]?.body), /"one"/);
    t.match(said(server.requests[1]?.body), /"three"/);
    t.match(said(server.requests[1]?.body), /does first/, 'tools stay as they are');
  }
});

t.test(
  'a turn of twelve files of 100 KB goes on, whatever the model takes, and the next turn knows how much',
  async (t) => {
    const files = Array.from({ length: 12 }, (_, index) => [
      assistant(use(`file-${index}`, { path: `/${index}` })),
      user(result(`file-${index}`, `<${index}> ${'word '.repeat(20_000)}`)),
    ]).flat();
    const transcript = [user('remember: blue'), assistant('yes'), user('read twelve files'), ...files];
    for (const takes of [200_000, 100_000, 32_000]) {
      const { server, model } = await start(t);
      server.script(({ body }) => {
        const tokens = Math.ceil(said(body).length / 2.5);
        return tokens > takes ? refuses(`prompt is too long: ${tokens} tokens > ${takes} maximum`) : OK;
      });
      const sent = new SentContext(transcript, null, { historyTokens: 150_000 });
      const messages = sent.messages();
      const shorter: ModelRequest['shorter'] = (size) => sent.shorter(size);
      const { answer } = await listen(model, ask({ messages, tools, shorter }));
      t.match(answer.content, [{ text: 'fine' }]);
      t.equal(answer.withheld, undefined, 'nothing is lost for later requests');
      const last = said(server.requests.at(-1)?.body);
      t.match(last, /remember: blue/);
      t.match(last, /<11> word/);
      t.match(last, /does first/);
      t.same(server.violations, []);
      t.ok(server.count <= 3);
      if (server.count > 1) t.equal(model.maxPromptTokens?.(ask().model), takes);
    }
  },
);

const SIZES: Record<string, PromptSize | undefined> = {
  'prompt is too long: 210000 tokens > 200000 maximum': { tokens: 210_000, maximum: 200_000 },
  'input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length': {
    tokens: 188_240,
    maximum: 178_667,
  },
  "This model's maximum context length is 128000 tokens. However, your messages resulted in 140,123 tokens.": {
    tokens: 140_123,
    maximum: 128_000,
  },
  "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages)": {
    tokens: 9_000,
    maximum: 8_192,
  },
  'the request exceeds the available context size (8192 tokens), try increasing it': { maximum: 8_192 },
  'request (12345 tokens) exceeds the available context size (8192 tokens)': { tokens: 12_345, maximum: 8_192 },
  'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).': {
    tokens: 1_200_000,
    maximum: 1_048_576,
  },
  'Input is too long for requested model.': undefined,
};

for (const [refusal, size] of Object.entries(SIZES)) {
  t.test(`a request that is too long is known by «${refusal}»`, async (t) => {
    t.ok(saysTooLong(refusal));
    t.same(readPromptSize(refusal), size);
  });
}

t.test('what cannot be helped ends with the first refusal, after few requests', async (t) => {
  const { server, model } = await start(t);
  let count = 0;
  server.script(() => refuses(`no, for the ${++count}th time`));
  await t.rejects(listen(model, ask({ messages: history, tools })), {
    code: 'ERR_MODEL',
    message: /no, for the 1th time/,
  });
  t.equal(server.count, 6);
});

t.test('a tool that is named like a matter of the account is left out all the same', async (t) => {
  const { server, model } = await start(t);
  const named = tools.map((tool) => ({ ...tool, name: `workspace_${tool.name}` }));
  server.enqueue(refuses("Invalid schema for function 'workspace_second'"), OK);
  await listen(model, ask({ tools: named }));
  t.notMatch(said(server.requests[1]?.body), /does second/);
  t.match(said(server.requests[1]?.body), /does first/);
});

t.test('a tool that is named without quotes is left out alone', async (t) => {
  const named = tools.map((tool) => ({ ...tool, name: `read_${tool.name}` }));
  for (const [given, refusal] of [
    [tools, 'Invalid schema for function second: bad parameters'],
    [tools, "tool second has an invalid schema: 'type' is missing"],
    [named, 'Invalid schema for function read_second'],
    [named, 'read_second: bad tool definition'],
  ] as const) {
    const { server, model } = await start(t);
    server.enqueue(refuses(refusal), OK);
    await listen(model, ask({ tools: [...given] }));
    t.equal(server.count, 2, refusal);
    t.notMatch(said(server.requests[1]?.body), /does second/, refusal);
    t.match(said(server.requests[1]?.body), /does first.*does third/, refusal);
  }
});

t.test('a refusal of the account is told at once and costs nothing', async (t) => {
  const { server, model } = await start(t);
  server.enqueue(refuses('Your credit balance is too low to access the Anthropic API.'));
  await t.rejects(listen(model, ask({ messages: history })), { code: 'ERR_MODEL', message: /credit balance/ });
  t.equal(server.count, 1);
});

t.test('thinking that the API finds changed is left out with all of its message', async (t) => {
  const { server, model } = await start(t);
  const thought = { type: 'thinking', thinking: 'hm', signature: 'c2ln' };
  const messages = [user('hi'), assistant(thought, use('a')), user(result('a'))];
  server.enqueue(
    refuses('messages.1.content.0: `thinking` blocks in the latest assistant message cannot be modified'),
    OK,
  );
  await listen(model, ask({ messages }));
  t.notMatch(said(server.requests[1]?.body), /"hm"/);
});

t.test('a model that refuses a way of thinking is asked in another, once for all conversations', async (t) => {
  const { server, model } = await start(t, { thinkingTokens: 2048 });
  server.script(({ body }) => (said(body).includes('"enabled"') ? refuses('thinking.type: not supported') : OK));
  const request = ask({ model: 'claude-sonnet-5-5-like' });
  await listen(model, request);
  const [first] = server.requests;
  t.match(first?.body['thinking'], { type: 'adaptive' });
  const odd = ask({ model: 'gateway-model' });
  server.script(({ body }) => (said(body).includes('"thinking"') ? refuses('thinking: Extra inputs') : OK));
  const before = server.count;
  await listen(model, odd);
  t.ok(server.count > before + 1);
  const after = server.count;
  const { answer } = await listen(model, odd);
  t.equal(server.count, after + 1, 'the next conversation asks rightly at once');
  t.equal(answer.withheld, undefined, 'nothing of the conversation is left out');
});

t.test('a model that refuses the cache’s marker is asked without it, once for all conversations', async (t) => {
  const { server, model } = await start(t);
  server.script(({ body }) =>
    said(body).includes('cache_control') ? refuses('system.0.cache_control: Extra inputs are not permitted') : OK,
  );
  const request = ask({ messages: history, tools });
  const { answer } = await listen(model, request);
  t.equal(server.count, 2);
  t.equal(answer.withheld, undefined, 'nothing of the conversation is left out');
  const { system, tools: sent, messages } = server.requests[1]!.body;
  t.same({ system, sent, messages }, unmarked(server.requests[0]!.body));
  await listen(model, request);
  t.equal(server.count, 3, 'the next conversation asks rightly at once');
  t.same(server.violations, []);
});

function unmarked({ system, tools: sent, messages }: RequestBody): unknown {
  const json = JSON.stringify({ system, sent, messages });
  return JSON.parse(json, (_key, value: unknown) => {
    if (typeof value === 'object' && value !== null && 'cache_control' in value) delete value.cache_control;
    return value;
  });
}

const POISONS = [
  user('one of many'),
  user('look', image('image/png', PICTURE)),
  assistant('an answer'),
  assistant(use('x', { path: 'y' })),
  user(result('x', 'a result')),
  user({ type: 'tool_result', tool_use_id: 'x', content: [image('image/png', png(7, 7))] }),
];

const blocksOf = (body: RequestBody): [path: string, json: string][] =>
  (body['messages'] as { content: unknown[] }[]).flatMap(({ content }, index) =>
    content.map((block, at): [string, string] => [
      `messages.${index}.content.${at}`,
      JSON.stringify(block, (key, value: unknown) => (key === 'cache_control' ? undefined : value)),
    ]),
  );

t.test('whatever the API refuses, however it says so, this turn and the next one are answered', async (t) => {
  const { server, model } = await start(t);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...POISONS), { maxLength: 8 }),
      fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('path', 'message', 'nothing', 'elsewhere'),
      async (before, picks, form) => {
        const request = ask({ messages: [...before, user('the newest')], tools });
        let bad: Set<string> | undefined;
        server.script(({ body }) => {
          const blocks = blocksOf(body);
          // What a person has just said is never refused here; all else may be.
          const may = blocks.filter(([, json]) => !json.includes('the newest') && !json.includes('and now?'));
          bad ??= new Set(picks.flatMap((pick) => may[pick % Math.max(1, may.length)]?.[1] ?? []));
          const found = blocks.find(([, json]) => bad?.has(json));
          if (!found) return OK;
          const [path] = found;
          if (form === 'path') return refuses(`${path}.text: bad`);
          if (form === 'message') return refuses(`${path.split('.').slice(0, 2).join('.')}: bad`);
          return refuses(form === 'nothing' ? 'bad' : 'messages.99.content.4: bad; tools.88: bad');
        });
        const { answer } = await listen(model, request);
        const count = server.count;
        await listen(model, next(request, answer.withheld));
        if (server.count !== count + 1) throw new Error('the next turn had to ask more than once');
      },
    ),
    { numRuns: 150 },
  );
  t.same(server.violations, []);
});

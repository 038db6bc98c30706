import * as fc from 'fast-check';
import t from 'tap';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';
import type { ModelRequest } from '../../../../workers/agent/model/model.js';
import { ModelTraits } from '../../../../workers/agent/model/model-traits.js';
import { toMessages } from '../../../../workers/agent/model/to-messages.js';
import { toRequest as toRequestOf } from '../../../../workers/agent/model/to-request.js';
import { buildToolSet } from '../../../../workers/agent/mcp/catalogue/tool-names.js';
import { png } from '../../../helpers/images.js';
import { validateMessages } from '../../../helpers/messages-rules.js';
import { anySchema } from '../schema/any-schema.js';
import { anyTranscript, assistant, deepFreeze, image, result, use, user } from './transcripts.js';

const CACHED = { type: 'ephemeral' };
const tool = (name: string, inputSchema: Record<string, unknown> = { type: 'object' }) => ({
  name,
  description: `does ${name}`,
  inputSchema,
});

const request = (messages: TranscriptMessage[], more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: 'claude-sonnet-4-5',
  system: 'You are here.',
  messages,
  tools: [tool('read_file'), tool('write_file')],
  maxTokens: 8192,
  ...more,
});

/** As for a model that takes a budget of thinking. */
const toRequest = (asked: ModelRequest, thinkingTokens: number): ReturnType<typeof toRequestOf> =>
  toRequestOf(asked, new ModelTraits(thinkingTokens).of(asked.model, asked.maxTokens));

const strip = (value: unknown): string =>
  JSON.stringify(value, (key, item: unknown) => (key === 'cache_control' ? undefined : item));

/** What the API sees, without the cache's markers. */
const plain = (messages: readonly TranscriptMessage[]): unknown => JSON.parse(strip(toMessages(messages)));

t.test('markers stand on the last tool, the system text and the last two user messages', async (t) => {
  const body = toRequest(
    request([user('one'), assistant('1'), user('two'), assistant(use('a'), use('b')), user(result('a'), result('b'))]),
    0,
  );
  t.same(body.system, [{ type: 'text', text: 'You are here.', cache_control: CACHED }]);
  t.same(
    body.tools?.map((tool) => ('cache_control' in tool ? tool.cache_control : undefined)),
    [undefined, CACHED],
  );
  const marked = body.messages.flatMap(({ content }, index) =>
    Array.isArray(content) ? content.map((block, at) => ('cache_control' in block ? `${index}.${at}` : '')) : [],
  );
  t.same(
    marked.filter((at) => at !== ''),
    ['2.0', '4.1'],
  );
  t.same(validateMessages(body), []);
});

t.test('no tools, no system text and no thinking are left out', async (t) => {
  const body = toRequest(request([user('hi')], { tools: [], system: ' ' }), 0);
  t.same(Object.keys(body).sort(), ['max_tokens', 'messages', 'model', 'stream']);
});

t.test('consecutive messages of one role become one, results first', async (t) => {
  t.same(plain([user('a'), user('b'), assistant(use('x')), user('and this'), user(result('x'))]), [
    user('a', 'b'),
    assistant(use('x')),
    user(result('x'), 'and this'),
  ]);
});

t.test('ids of gateways that version 0.2.0 has stored are made valid, and no call loses its result', async (t) => {
  const ids = ['functions.list_files:0', 'functions.list_files:0', 'ä b', 'good', 'good', ''];
  const rounds = ids.flatMap((id, index) => [assistant(use(id)), user(result(id, `result ${index}`))]);
  const body = toRequest(request([user('go'), ...rounds]), 0);
  t.same(validateMessages(body), []);
  for (const index of ids.keys()) t.match(strip(body.messages), `result ${index}`);
});

t.test('empty text and what it leaves empty are dropped', async (t) => {
  t.same(plain([user('hi'), assistant(' '), user('', 'there')]), [user('hi', 'there')]);
});

t.test('a transcript without a last word from the user gets one', async (t) => {
  t.match(plain([]), [{ role: 'user', content: [{ type: 'text' }] }]);
  t.match(plain([user('hi'), assistant('hello')]), [user('hi'), assistant('hello'), { role: 'user' }]);
});

t.test('thinking is replayed unchanged, without its signature dropped, and never left at the end', async (t) => {
  const signed = { type: 'thinking', thinking: '', signature: 'c2ln' };
  const unsigned = { type: 'thinking', thinking: 'hm' };
  const redacted = { type: 'redacted_thinking', data: 'ZGF0YQ==' };
  t.same(plain([user('hi'), assistant(signed, redacted, unsigned, use('a')), user(result('a'))]), [
    user('hi'),
    assistant(signed, redacted, use('a')),
    user(result('a')),
  ]);
  t.same(plain([user('hi'), assistant(signed), user('well?')]), [user('hi', 'well?')]);
});

t.test('thinking is asked for, except in a turn that began without', async (t) => {
  const signed = { type: 'thinking', thinking: 'hm', signature: 'c2ln' };
  const thinks = (...messages: TranscriptMessage[]) => toRequest(request(messages), 2048).thinking;
  t.match(thinks(user('hi')), { type: 'enabled', budget_tokens: 2048 });
  t.match(thinks(user('hi'), assistant(signed, use('a')), user(result('a'))), { type: 'enabled' });
  t.equal(thinks(user('hi'), assistant(use('a')), user(result('a'))), undefined);
  t.match(thinks(user('hi'), assistant('no thought'), user('go on')), { type: 'enabled' });
  t.equal(toRequest(request([user('hi')], { maxTokens: 2048 }), 2048).thinking, undefined, 'no room for an answer');
});

t.test('pictures that the API does not take become words, and an error’s result holds text only', async (t) => {
  t.match(plain([user(image('image/png', 'AAAA'), image('image/png'))]), [
    { role: 'user', content: [{ type: 'text', text: /no PNG/ }, image('image/png')] },
  ]);
  const failed = { type: 'tool_result', tool_use_id: 'a', content: [image('image/png')], is_error: true };
  t.match(plain([user('hi'), assistant(use('a')), user(failed)]), [
    {},
    {},
    { content: [{ type: 'tool_result', is_error: true, content: [{ type: 'text' }] }] },
  ]);
});

t.test('a schema the API would refuse at its top is made one that it takes', async (t) => {
  const schema = { properties: { path: { type: 'string' } }, anyOf: [{ required: ['path'] }] };
  const body = toRequest(request([user('hi')], { tools: [tool('x', schema)] }), 0);
  t.match(body.tools, [{ input_schema: { type: 'object', properties: { path: { type: 'string' } } } }]);
  t.same(validateMessages(body), []);
});

t.test('whatever the transcript, the request is valid and the transcript is not touched', async (t) => {
  fc.assert(
    fc.property(
      anyTranscript,
      fc.constantFrom(0, 1024, 4096),
      fc.integer({ min: 0, max: 2 }),
      fc.constantFrom(
        'claude-3-5-haiku-20241022',
        'claude-sonnet-4-5',
        'claude-opus-4-6',
        'claude-sonnet-5-5',
        'llama',
      ),
      (messages, budget, n, model) => {
        const tools = [tool('a'), tool('b')].slice(0, n);
        const asked = request(deepFreeze(messages), { tools, model });
        const problems = validateMessages(toRequest(asked, budget));
        if (problems.length > 0) throw new Error(problems.join('\n'));
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});

const definition = fc.record({
  name: fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.constantFrom('a', 'a b', 'a.b', 'search_tools')),
  description: fc.oneof(fc.string({ unit: 'binary' }), fc.constant('half \ud83d')),
  inputSchema: anySchema,
});

t.test('whatever tools servers have, the request is valid and no tool is lost for another', async (t) => {
  fc.assert(
    fc.property(fc.array(definition, { maxLength: 5 }), fc.array(definition, { maxLength: 3 }), (one, two) => {
      const { tools } = buildToolSet({ one, two });
      const body = toRequest(request([user('hi')], { tools }), 0);
      const problems = validateMessages(body);
      if (problems.length > 0) throw new Error(problems.join('\n'));
      const names = new Set([...one.map(({ name }) => `one/${name}`), ...two.map(({ name }) => `two/${name}`)]);
      if ((body.tools ?? []).length !== names.size) throw new Error('a tool is missing');
    }),
    { numRuns: 1_000 },
  );
  t.pass();
});

const many = (count: number, width: number): TranscriptMessage[] =>
  Array.from({ length: count }, () => user(image('image/png', png(width, 10))));

t.test('of more than 20 images with a large one the newest go, and never more than 100', async (t) => {
  for (const [count, width, sent] of [
    [21, 2_001, 11],
    [21, 2_000, 21],
    [101, 10, 91],
    [20, 8_000, 20],
  ] as const) {
    const body = toRequest(request(many(count, width)), 0);
    t.same(validateMessages(body), []);
    t.equal(JSON.stringify(body).split('"image/png"').length - 1, sent, `${count} of ${width}`);
  }
});

t.test('the same transcript gives the same request, and more of it keeps what the cache knows', async (t) => {
  const history = [user('hi'), assistant(use('a')), user(result('a')), assistant('done'), user('more')];
  const longer = [...history, assistant(use('b')), user(result('b'))];
  t.equal(JSON.stringify(toRequest(request(history), 0)), JSON.stringify(toRequest(request(history), 0)));
  t.ok(strip(toMessages(longer)).startsWith(strip(toMessages(history)).slice(0, -1)));
});

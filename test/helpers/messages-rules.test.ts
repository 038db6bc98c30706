import t from 'tap';
import { png as pngOf } from './images.js';
import { validateMessages } from './messages-rules.js';

type Json = Record<string, unknown>;

const user = (content: unknown): Json => ({ role: 'user', content });
const assistant = (content: unknown): Json => ({ role: 'assistant', content });
const use = (id: string, input: unknown = {}): Json => ({ type: 'tool_use', id, name: 'list_files', input });
const result = (id: string, more: Json = {}): Json => ({
  type: 'tool_result',
  tool_use_id: id,
  content: 'a.txt',
  ...more,
});
const said = (text: string, more: Json = {}): Json => ({ type: 'text', text, ...more });
const thought = (signature: string | undefined = 'sig'): Json => ({ type: 'thinking', thinking: 'hm', signature });
const offered = (name = 'list_files', more: Json = {}): Json => ({ name, input_schema: { type: 'object' }, ...more });
const cached = { cache_control: { type: 'ephemeral' } };
const PNG = pngOf(1, 1);
const imageOf = (data: string): unknown => ({
  type: 'image',
  source: { type: 'base64', media_type: 'image/png', data },
});
const schemaOf = (schema: object): unknown => ({ name: 'a', input_schema: { type: 'object', ...schema } });
const png = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } };

const body = (messages: unknown, more: Json = {}): Json => ({ model: 'm', max_tokens: 2048, messages, ...more });

const accepted: Record<string, Json> = {
  'a first message': body([user('hi')]),
  'messages of one role in a row, which the API merges': body([
    user('hi'),
    user([said('and')]),
    assistant('yes'),
    user('so'),
  ]),
  'a call with its result': body([user('ls'), assistant([said('so'), use('a')]), user([result('a')])]),
  'several calls, their results in any order, words after them': body([
    user('ls'),
    assistant([use('a'), use('b')]),
    user([result('b', { is_error: true }), result('a', { content: [said('x'), png] }), said('hurry')]),
  ]),
  'results spread over two user messages in a row': body([
    user('ls'),
    assistant([use('a'), use('b')]),
    user([result('a')]),
    user([result('b')]),
  ]),
  'thinking kept before its call': body([user('ls'), assistant([thought(), use('a')]), user([result('a')])], {
    thinking: { type: 'enabled', budget_tokens: 1024 },
  }),
  'four cache breakpoints': body([user([said('hi', cached)])], {
    system: [said('be good', cached)],
    tools: [offered('a', cached), offered('b', cached)],
  }),
};

for (const [name, request] of Object.entries(accepted)) {
  t.test(`accepts ${name}`, async (t) => {
    t.same(validateMessages(request), []);
  });
}

const refused: Record<string, [request: unknown, about: RegExp]> = {
  'what is no object': ['x', /valid dictionary/],
  'a body without a model': [{ max_tokens: 1, messages: [user('hi')] }, /^model/],
  'a body without max_tokens': [{ model: 'm', messages: [user('hi')] }, /^max_tokens/],
  'no messages': [body([]), /at least one message/],
  'a key that the API does not know': [body([user('hi')], { session: 'x' }), /^session: Extra/],
  'an assistant that speaks first': [body([assistant('hi'), user('hi')]), /first message/],
  'a conversation that ends with the assistant': [body([user('hi'), assistant('hi')]), /must end with a user/],
  'a role of another kind': [body([{ role: 'system', content: 'x' }, user('hi')]), /role/],
  'an empty message': [body([user('')]), /non-empty content/],
  'a message without blocks': [body([user('hi'), assistant([]), user('hi')]), /non-empty content/],
  'an empty text block': [body([user([said('')])]), /non-whitespace/],
  'an empty text inside a result': [
    body([user('ls'), assistant([use('a')]), user([result('a', { content: [said('')] })])]),
    /non-whitespace/,
  ],
  'a field of ours on a block': [body([user([said('hi', { seq: 3 })])]), /seq: Extra/],
  'a call without a result': [body([user('ls'), assistant([use('a')]), user('well?')]), /without tool_result/],
  'a call with a result one message late': [
    body([user('ls'), assistant([use('a')]), user('well?'), assistant('no'), user([result('a')])]),
    /without tool_result/,
  ],
  'one of two calls without a result': [
    body([user('ls'), assistant([use('a'), use('b')]), user([result('b')])]),
    /without tool_result.*: a$/,
  ],
  'a result for an unknown call': [
    body([user('ls'), assistant([use('a')]), user([result('a'), result('z')])]),
    /unexpected tool_use_id.*: z$/,
  ],
  'a result at the very start': [body([user([result('a')])]), /unexpected tool_use_id/],
  'two results for one call': [
    body([user('ls'), assistant([use('a')]), user([result('a'), result('a')])]),
    /single result/,
  ],
  'two calls with one id': [
    body([user('ls'), assistant([use('a'), use('a')]), user([result('a')])]),
    /ids must be unique/,
  ],
  'words before a result': [body([user('ls'), assistant([use('a')]), user([said('hm'), result('a')])]), /come first/],
  'a failed result with an image': [
    body([user('ls'), assistant([use('a')]), user([result('a', { is_error: true, content: [png] })])]),
    /is_error/,
  ],
  'an image of an odd type': [
    body([user([{ type: 'image', source: { type: 'base64', media_type: 'image/tiff', data: PNG } }])]),
    /media_type/,
  ],
  'an image of another type than its bytes': [
    body([user([{ type: 'image', source: { type: 'base64', media_type: 'image/gif', data: PNG } }])]),
    /messages\.0\.content\.0\.image\.source\.base64\.data: .*media type/,
  ],
  'bytes that are no image': [body([user([imageOf('AAAA')])]), /messages\.0\.content\.0: Could not process image/],
  'an image with a side that is too long': [body([user([imageOf(pngOf(8_001, 10))])]), /exceed max allowed size: 8000/],
  'many images of which one is large': [
    body([user([...Array.from({ length: 20 }, () => png), imageOf(pngOf(2_001, 10))])]),
    /many-image requests: 2000/,
  ],
  'an image over 5 MB': [body([user([imageOf(pngOf(10, 10, 4_000_000))])]), /exceeds 5 MB/],
  'half a surrogate pair': [body([user([said('half \ud83d')])]), /no low surrogate/],
  'half a surrogate pair in a key': [
    body([user('ls'), assistant([use('a', { '\udc00': 1 })]), user([result('a')])]),
    /no low surrogate/,
  ],
  'a called tool with an odd name': [
    body([user('ls'), assistant([{ type: 'tool_use', id: 'a', name: 'read file', input: {} }]), user([result('a')])]),
    /tool_use.name/,
  ],
  'a schema of an older draft': [
    body([user('hi')], { tools: [schemaOf({ properties: { n: { minimum: 0, exclusiveMinimum: true } } })] }),
    /^tools\.0\.custom\.input_schema: JSON schema is invalid/,
  ],
  'a property that says itself that it is required': [
    body([user('hi')], { tools: [schemaOf({ properties: { n: { required: true } } })] }),
    /JSON schema is invalid/,
  ],
  'a tuple of the older kind': [
    body([user('hi')], { tools: [schemaOf({ properties: { n: { items: [{}] } } })] }),
    /JSON schema is invalid/,
  ],
  'a type that is none': [
    body([user('hi')], { tools: [schemaOf({ properties: { n: { type: 'any' } } })] }),
    /JSON schema is invalid/,
  ],
  'an empty enum': [body([user('hi')], { tools: [schemaOf({ properties: { n: { enum: [] } } })] }), /enum/],
  'a pattern of JavaScript alone': [
    body([user('hi')], { tools: [schemaOf({ properties: { n: { pattern: '^\\p{L}$' } } })] }),
    /JSON schema is invalid/,
  ],
  'a property with an odd name': [
    body([user('hi')], { tools: [schemaOf({ properties: { 'my name': {} } })] }),
    /Property keys should match/,
  ],
  'arguments that are no object': [
    body([user('ls'), assistant([use('a', 'x')]), user([result('a')])]),
    /tool_use.input/,
  ],
  'a call in a user message': [body([user([use('a')])]), /not permitted in user/],
  'a thought without its signature': [
    body([user('ls'), assistant([thought(''), use('a')]), user([result('a')])]),
    /signature/,
  ],
  'a continued turn that lost its thought': [
    body([user('ls'), assistant([use('a')]), user([result('a')])], {
      thinking: { type: 'enabled', budget_tokens: 1024 },
    }),
    /must start with a thinking block/,
  ],
  'a thinking budget over max_tokens': [
    body([user('hi')], { thinking: { type: 'enabled', budget_tokens: 4096 } }),
    /greater than thinking/,
  ],
  'five cache breakpoints': [
    body([user([said('hi', cached), said('you', cached)])], {
      system: [said('be good', cached)],
      tools: [offered('a', cached), offered('b', cached)],
    }),
    /maximum of 4/,
  ],
  'a system prompt of another kind': [body([user('hi')], { system: 5 }), /^system: Input/],
  'an image in the system prompt': [body([user('hi')], { system: [png] }), /^system.0: Input/],
  'tools that are no list': [body([user('hi')], { tools: {} }), /^tools: Input/],
  'content of another kind': [body([user(5)]), /content: Input/],
  'a block that is no object': [body([user(['hi'])]), /content.0: Input/],
  'an image without a source': [body([user([{ type: 'image' }])]), /image.source/],
  'a result with content of another kind': [
    body([user('ls'), assistant([use('a')]), user([result('a', { content: 5 })])]),
    /tool_result.content: Input/,
  ],
  'forced tool use while thinking': [
    body([user('hi')], { thinking: { type: 'enabled', budget_tokens: 1024 }, tool_choice: { type: 'any' } }),
    /forces tool use/,
  ],
  'two tools of one name': [body([user('hi')], { tools: [offered(), offered()] }), /names must be unique/],
  'a tool name with a dot': [body([user('hi')], { tools: [offered('a.b')] }), /tools.0.custom.name/],
  'a tool name of 65 letters': [body([user('hi')], { tools: [offered('a'.repeat(65))] }), /tools.0.custom.name/],
  'a tool without a schema': [body([user('hi')], { tools: [{ name: 'a' }] }), /input_schema/],
  'a tool whose schema is no object': [
    body([user('hi')], { tools: [offered('a', { input_schema: { type: 'array' } })] }),
    /input_schema.type/,
  ],
  'a tool with MCP annotations': [
    body([user('hi')], { tools: [offered('a', { annotations: {} })] }),
    /annotations: Extra/,
  ],
};

for (const [name, [request, about]] of Object.entries(refused)) {
  t.test(`refuses ${name}`, async (t) => {
    const problems = validateMessages(request);
    t.ok(
      problems.some((problem) => about.test(problem)),
      `one of ${JSON.stringify(problems)} is about it`,
    );
  });
}

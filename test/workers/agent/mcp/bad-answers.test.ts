/** Servers whose answers are not quite by the book, by every way that a server is reached. */
import t from 'tap';
import { listServerTools } from '../../../../workers/agent/mcp/catalogue/list-all.js';
import { outputOf, toModelContent } from '../../../../workers/agent/mcp/calls/tool-result.js';
import type { ServerConnection } from '../../../../workers/agent/mcp/host/server-connection.js';
import { badCommand, badHttp, badSse, resultOf, type Answers } from '../../../helpers/bad-mcp.js';
import { callOf, OF, startCommands } from './command/command-bench.js';
import { caller, remotes, request, serve, type Teardown } from './remote/remote-kit.js';

type Connect = (t: Teardown, answers: Answers) => Promise<ServerConnection>;

const WAYS: Record<string, Connect> = {
  stdio: async (t, answers) => startCommands(t, { servers: { bad: badCommand(answers) } }).commands.get(OF, 'bad'),
  json: async (t, answers) => {
    const { url } = await serve(t, badHttp(answers, 'json'));
    return remotes(t, { bad: url }).get(caller(), 'bad');
  },
  stream: async (t, answers) => {
    const { url } = await serve(t, badHttp(answers, 'stream'));
    return remotes(t, { bad: url }).get(caller(), 'bad');
  },
  sse: async (t, answers) => {
    const { url } = await serve(t, badSse(answers));
    return remotes(t, { bad: { url, type: 'sse' } }).get(caller(), 'bad');
  },
};

const schema = { type: 'object', properties: { a: { type: 'string' } } };

/** What a tool has beside its name → the schema that it is given. */
const TOOLS: Record<string, [given: object, schema: object]> = {
  'anyOf at the top without a type': [{ inputSchema: { anyOf: [schema] } }, { type: 'object', anyOf: [schema] }],
  'an empty schema': [{ inputSchema: {} }, { type: 'object' }],
  'no schema': [{}, { type: 'object' }],
  'a schema that is null': [{ inputSchema: null }, { type: 'object' }],
  'a schema that is no object': [{ inputSchema: true }, { type: 'object' }],
  'a schema of a text': [{ inputSchema: { type: 'string' } }, { type: 'object' }],
  'lists where objects are meant': [{ inputSchema: { type: 'object', properties: [] } }, { type: 'object' }],
  'a type in capitals': [{ inputSchema: { ...schema, type: 'Object' } }, { type: 'object' }],
  'two types': [{ inputSchema: { ...schema, type: ['object', 'null'] } }, schema],
  'one required name': [{ inputSchema: { ...schema, required: 'a' } }, { ...schema, required: ['a'] }],
  'true as required': [{ inputSchema: { ...schema, required: true } }, schema],
  'null as the draft': [{ inputSchema: { ...schema, $schema: null } }, schema],
  'nulls in optional fields': [
    {
      inputSchema: schema,
      title: null,
      description: null,
      outputSchema: null,
      annotations: null,
      icons: null,
      execution: null,
      _meta: null,
    },
    schema,
  ],
  'nulls in hints': [{ inputSchema: schema, annotations: { title: null, readOnlyHint: null } }, schema],
  'hints that are texts': [{ inputSchema: schema, annotations: { readOnlyHint: 'yes' } }, schema],
  'icons that are none': [{ inputSchema: schema, icons: [{ source: 'x' }, null, 'y'] }, schema],
  'a description that is a number': [{ inputSchema: schema, description: 5 }, schema],
  'a title that is an object': [{ inputSchema: schema, title: {} }, schema],
  'results that are no objects': [{ inputSchema: schema, outputSchema: { type: 'array' } }, schema],
  'an unknown kind of task': [{ inputSchema: schema, execution: { taskSupport: 'x' } }, schema],
};
const NO_TOOLS = [null, 'a text', 7, [], {}, { name: null, inputSchema: schema }, { name: 7, inputSchema: schema }];

const LISTS: Record<string, [result: unknown, names: string[]]> = {
  null: [{ tools: null }, []],
  'an empty object': [{}, []],
  'a bare list': [[{ name: 'a' }], ['a']],
  'a next page that is null': [{ tools: [{ name: 'a' }], nextCursor: null }, ['a']],
  'a next page that is an empty text': [{ tools: [{ name: 'a' }], nextCursor: '' }, ['a']],
  '_meta that is null': [{ tools: [{ name: 'a' }], _meta: null }, ['a']],
};

const fine = { type: 'text', text: 'fine' };

/** A tool's result → what the model reads. */
const RESULTS: Record<string, [result: unknown, text: string]> = {
  'a text': ['fine', 'fine'],
  null: [null, '(no output)'],
  'a number': [5, '5'],
  'a list': [[1, 2], '[1,2]'],
  'a bare object': [{ temperature: 21 }, '{"temperature":21}'],
  'a bare block': [fine, 'fine'],
  'a bare list of blocks': [[fine], 'fine'],
  'the key of an early revision': [{ toolResult: 'fine' }, 'fine'],
  'content that is a text': [{ content: 'fine' }, 'fine'],
  'content that is one block': [{ content: fine }, 'fine'],
  'content that is null': [{ content: null, structuredContent: { a: 1 } }, '{"a":1}'],
  'structured content that is a list': [{ structuredContent: [1] }, '[1]'],
  'structured content that is null': [{ content: [fine], structuredContent: null }, 'fine'],
  'isError that is null': [{ content: [fine], isError: null }, 'fine'],
  '_meta that is null': [{ content: [fine], _meta: null }, 'fine'],
};

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const png = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } };
const ofUrls = PIXEL.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** One block of a result → what the model gets in its place. */
const BLOCKS: Record<string, [block: unknown, told: string | RegExp | typeof png]> = {
  'a text that is null': [{ type: 'text', text: null }, /without a text/],
  'a text that is an object': [{ type: 'text', text: { a: 1 } }, '{"a":1}'],
  null: [null, /empty content block/],
  'a text': ['plain', 'plain'],
  'a list': [[1], '[1]'],
  'no type': [{ text: 'plain' }, 'plain'],
  'an unknown type': [{ type: 'chart', points: [1] }, /type that MCP does not know: .*chart/],
  'annotations out of bounds': [
    { type: 'text', text: 'a', annotations: { priority: 7, audience: ['bot'], lastModified: 'x' } },
    'a',
  ],
  'annotations that are null': [{ type: 'text', text: 'a', annotations: null, _meta: null }, 'a'],
  'an image as a data URL': [{ type: 'image', data: `data:image/png;base64,${PIXEL}` }, png],
  'an image without a type': [{ type: 'image', data: PIXEL }, png],
  'an image whose type is null': [{ type: 'image', data: PIXEL, mimeType: null }, png],
  'base64 with line breaks': [{ type: 'image', data: PIXEL.replace(/.{20}/g, '$&\r\n'), mimeType: 'image/png' }, png],
  'base64 for addresses, without padding': [{ type: 'image', data: ofUrls, mimeType: 'image/png' }, png],
  'an image as another API has it': [{ type: 'image', source: { media_type: 'image/png', data: PIXEL } }, png],
  'an image as a third API has it': [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }, png],
  'an image without data': [{ type: 'image', mimeType: 'image/png' }, /image without data/],
  'an image that is no base64': [{ type: 'image', data: '%%%', mimeType: 'image/png' }, /no base64/],
  'an image at an address': [{ type: 'image', data: 'https://a.example/x.png' }, /a\.example.*not fetched/],
  'a recording that is no base64': [{ type: 'audio', data: '%', mimeType: 'audio/wav' }, /recording.*no base64/],
  'a resource without a content': [{ type: 'resource', resource: { uri: 'a:b' } }, /without a content/],
  'a resource whose content is null': [{ type: 'resource', resource: { uri: 'a:b', text: null } }, /without a content/],
  'a resource without an address': [{ type: 'resource', resource: { text: 'plain' } }, 'plain'],
  'no resource': [{ type: 'resource', resource: null }, /without a content/],
  'a link without a name': [{ type: 'resource_link', uri: 'a:b' }, /a:b/],
  'a link without an address': [{ type: 'resource_link', name: 'x' }, /without an address/],
};

/** Answers that name the request and are no success → the words of the failure, or the result all the same. */
const ANSWERS: Record<string, [answer: string, text: string | RegExp]> = {
  'error: null beside a result': ['{"jsonrpc":"2.0","id":"$ID","error":null,"result":{"content":"fine"}}', 'fine'],
  'no version': ['{"id":"$ID","result":{"content":"fine"}}', 'fine'],
  'fields of its own': ['{"jsonrpc":"2.0","id":"$ID","method":null,"x":1,"result":{"content":"fine"}}', 'fine'],
  'another version': ['{"jsonrpc":"1.0","id":"$ID","result":{"content":"fine"}}', /no JSON-RPC 2\.0 answer/],
  'neither result nor error': ['{"jsonrpc":"2.0","id":"$ID"}', /neither a result nor an error/],
  'an error without a message': ['{"jsonrpc":"2.0","id":"$ID","error":{}}', /error that has no message: \{\}/],
  'an error that is a text': ['{"jsonrpc":"2.0","id":"$ID","error":"out of order"}', /out of order/],
  'an error whose code is a text': ['{"jsonrpc":"2.0","id":"$ID","error":{"code":"E5","message":"no"}}', /no/],
  'an error without an id': ['{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"broken"}}', /broken/],
  'a result without an id': ['{"jsonrpc":"2.0","result":{"content":"fine"}}', 'fine'],
  'a byte order mark before it': ['\uFEFF{"jsonrpc":"2.0","id":"$ID","result":{"content":"fine"}}', 'fine'],
  'a batch of one': ['[{"jsonrpc":"2.0","id":"$ID","result":{"content":"fine"}}]', 'fine'],
};

function between(block: unknown): unknown[] {
  return [{ type: 'text', text: 'before' }, block, { type: 'text', text: 'after' }];
}

/** A handshake's result → what is known of the server's capabilities. */
const HANDSHAKES: Record<string, [result: object, capabilities: string[]]> = {
  'capabilities that are null': [{ capabilities: null }, []],
  'no capabilities': [{}, []],
  'capabilities that are a list': [{ capabilities: [] }, []],
  'true and lists for capabilities': [
    { capabilities: { tools: true, prompts: [], resources: null } },
    ['prompts', 'tools'],
  ],
  'a flag that is null': [{ capabilities: { tools: { listChanged: null } } }, ['tools']],
  'an unknown capability that is a text': [{ capabilities: { tools: {}, odd: 'yes' } }, ['tools']],
  'no server info': [{ capabilities: { tools: {} }, serverInfo: null }, ['tools']],
  'a version that is a number': [{ capabilities: { tools: {} }, serverInfo: { name: 'a', version: 2 } }, ['tools']],
  'instructions that are null': [{ capabilities: { tools: {} }, instructions: null, _meta: null }, ['tools']],
  'no version of the protocol': [{ capabilities: { tools: {} }, protocolVersion: null }, ['tools']],
};

/** Method → a result, and what is read of it. */
const OTHERS: [what: string, method: string, result: unknown, read: object][] = [
  [
    'a prompt with nulls',
    'prompts/list',
    {
      prompts: [{ name: 'a', title: null, arguments: [{ name: 'b', required: null, description: null }] }, { name: 1 }],
    },
    { prompts: [{ name: 'a', arguments: [{ name: 'b' }] }] },
  ],
  [
    'prompts without arguments',
    'prompts/list',
    { prompts: [{ name: 'a', arguments: null }] },
    { prompts: [{ name: 'a' }] },
  ],
  [
    'resources without names',
    'resources/list',
    { resources: [{ uri: 'a:b', name: null, size: null, mimeType: null }, { name: 'c' }] },
    { resources: [{ uri: 'a:b', name: 'a:b' }] },
  ],
  [
    'templates without names',
    'resources/templates/list',
    { resourceTemplates: [{ uriTemplate: 'a:{b}' }, null] },
    { resourceTemplates: [{ uriTemplate: 'a:{b}', name: 'a:{b}' }] },
  ],
  [
    'messages whose content is a text',
    'prompts/get',
    { description: null, messages: [{ role: 'system', content: 'hi' }, 'there'] },
    {
      messages: [
        { role: 'user', content: { type: 'text', text: 'hi' } },
        { role: 'user', content: { type: 'text', text: 'there' } },
      ],
    },
  ],
  [
    'a message of several blocks',
    'prompts/get',
    { messages: [{ role: 'assistant', content: [fine, { type: 'text', text: null }] }] },
    {
      messages: [
        { role: 'assistant', content: fine },
        { role: 'assistant', content: { type: 'text', text: /without a text/ } },
      ],
    },
  ],
  [
    'one entry in place of a list',
    'resources/read',
    { contents: { text: 'hi' } },
    { contents: [{ uri: 'a:b', text: 'hi' }] },
  ],
  [
    'bytes with line breaks',
    'resources/read',
    { contents: [{ uri: 'x:y', blob: 'aGk\n', mimeType: null }] },
    { contents: [{ uri: 'x:y', blob: 'aGk=' }] },
  ],
  [
    'bytes that are none',
    'resources/read',
    { contents: [{ uri: 'x:y', blob: '%' }] },
    { contents: [{ text: /no base64/ }] },
  ],
  [
    'a completion with nulls',
    'completion/complete',
    { completion: { values: ['a', null], total: null, hasMore: null } },
    { completion: { values: ['a'] } },
  ],
  ['a ping with a word in it', 'ping', { ok: true }, {}],
];

async function toModel(connection: ServerConnection, tool: string): Promise<unknown[]> {
  const result = await connection.callTool(callOf(tool));
  return toModelContent(outputOf(result, { maxBytes: 1_000_000, maxImageBytes: 1_000_000 }));
}

void t.test(
  'stdio: an answer that is printed over several lines is read, also after lines that are none',
  async (t) => {
    const answer = `{"jsonrpc":"2.0","id":"$ID","result":${JSON.stringify({ content: [fine] })}}`;
    const spread = JSON.stringify(JSON.parse(answer), null, 2);
    const connection = await WAYS['stdio']!(t, {
      'tools/call spread': spread,
      'tools/call begun': `{\n  "a": 1,\n${answer}`,
      'tools/call again': `{\n}\n{\n  "a": 1,\n${spread}`,
    });
    for (const name of ['spread', 'begun', 'again']) t.match(await toModel(connection, name), [fine], name);
  },
);

for (const [way, connect] of Object.entries(WAYS)) {
  void t.test(`${way}: one bad tool costs that tool, and no other`, async (t) => {
    const tools = [
      ...NO_TOOLS,
      ...Object.entries(TOOLS).map(([name, [given]]) => ({ name, ...given })),
      { name: 'a good one', inputSchema: schema },
    ];
    const connection = await connect(t, { 'tools/list': resultOf({ tools }) });
    const listed = await listServerTools(connection, request('tools/list'));
    const schemas = new Map(listed.tools.map(({ name, inputSchema }) => [name, inputSchema]));
    for (const [name, [, wanted]] of Object.entries(TOOLS)) t.match(schemas.get(name), wanted, name);
    t.same(schemas.get('a good one'), schema);
    t.equal(schemas.size, Object.keys(TOOLS).length + 1);
    t.equal(listed.leftOut?.length, NO_TOOLS.length);
    t.match(listed.leftOut, ['number 1: it is no object']);
    t.match(listed.leftOut?.at(-1), 'number 7: it has no name');
    t.notOk(
      listed.tools.some(({ readOnly }) => readOnly),
      'a hint that is no boolean is not believed',
    );
  });

  void t.test(`${way}: a tool of too many levels costs that tool, and no other`, async (t) => {
    const nest = (levels: number): object => {
      let nested: object = schema;
      for (let level = 0; level < levels; level += 2) nested = { type: 'object', properties: { a: nested } };
      return nested;
    };
    const tools = [
      { name: 'a deep one', inputSchema: nest(400) },
      { name: 'a less deep one', inputSchema: nest(150) },
      { name: 'a good one', inputSchema: schema },
    ];
    const connection = await connect(t, {
      'tools/list': resultOf({ tools }),
      'tools/call deep': resultOf({ content: [fine], structuredContent: nest(400) }),
      'prompts/list': resultOf({ prompts: [{ name: 'a', _meta: nest(4_000) }] }),
    });
    const listed = await listServerTools(connection, request('tools/list'));
    t.same(
      listed.tools.map(({ name }) => name),
      ['a less deep one', 'a good one'],
    );
    t.same(listed.leftOut, ['a deep one: it has too many levels']);
    await t.rejects(
      connection.callTool(callOf('deep')),
      { message: /more than 200 levels/ },
      'a result counts as a whole',
    );
    await t.rejects(connection.request(request('prompts/list')), { message: /more than 200 levels/ });
    const told = await connection.request(request('tools/list'));
    t.equal((told['tools'] as unknown[]).length, 2, 'the connection is still there');
  });

  void t.test(`${way}: a list whose pages do not end is what has come of it`, async (t) => {
    const page = resultOf({ tools: [{ name: 'a good one', inputSchema: schema }], nextCursor: 'again' });
    const connection = await connect(t, { 'tools/list': page });
    const listed = await listServerTools(connection, request('tools/list'));
    t.match(listed.tools[0], { name: 'a good one' });
    // Over HTTP the SDK reads the pages, and does not say so.
    if (way === 'stdio') t.match(listed.leftOut, [/pages of tools\/list do not end/]);
  });

  for (const [what, [result, names]] of Object.entries(LISTS)) {
    void t.test(`${way}: ${what} in place of a list of tools is read`, async (t) => {
      const connection = await connect(t, { 'tools/list': resultOf(result) });
      const { tools } = await listServerTools(connection, request('tools/list'));
      t.same(
        tools.map(({ name }) => name),
        names,
      );
    });
  }

  void t.test(`${way}: whatever a tool answers reaches the model`, async (t) => {
    const answers = Object.entries(RESULTS).map(([name, [result]]) => [`tools/call ${name}`, resultOf(result)]);
    const connection = await connect(t, Object.fromEntries(answers) as Answers);
    for (const [name, [, text]] of Object.entries(RESULTS))
      t.same(await toModel(connection, name), [{ type: 'text', text }], name);
  });

  void t.test(`${way}: one bad content block costs that block, and no other`, async (t) => {
    const answers = Object.entries(BLOCKS).map(([name, [block]]) => [
      `tools/call ${name}`,
      resultOf({ content: between(block) }),
    ]);
    const connection = await connect(t, Object.fromEntries(answers) as Answers);
    for (const [name, [, told]] of Object.entries(BLOCKS)) {
      const wanted = typeof told === 'string' || told instanceof RegExp ? { type: 'text', text: told } : told;
      const read = await toModel(connection, name);
      t.match(read, [{ text: 'before' }, wanted, { text: 'after' }], name);
      t.equal(read.length, 3, name);
    }
  });

  for (const [what, [result, capabilities]] of Object.entries(HANDSHAKES)) {
    void t.test(`${way}: a handshake with ${what} is one`, async (t) => {
      const defaults = { protocolVersion: '2025-11-25', serverInfo: { name: 'bad', version: '1' } };
      const connection = await connect(t, { initialize: resultOf({ ...defaults, ...result }) });
      t.same(Object.keys(connection.capabilities).sort(), capabilities);
    });
  }

  for (const [what, method, result, read] of OTHERS) {
    void t.test(`${way}: ${what} (${method}) costs no more than that`, async (t) => {
      const connection = await connect(t, { [method]: resultOf(result) });
      const params = {
        ...(method === 'resources/read' ? { uri: 'a:b' } : {}),
        ...(method === 'prompts/get' ? { name: 'a' } : {}),
        ...(method === 'completion/complete'
          ? { ref: { type: 'ref/prompt', name: 'a' }, argument: { name: 'a', value: '' } }
          : {}),
      };
      const { _meta, ...got } = await connection.request(request(method, params));
      t.match(got, read);
      for (const [key, wanted] of Object.entries(read))
        if (Array.isArray(wanted)) t.equal((got[key] as []).length, wanted.length);
    });
  }

  void t.test(`${way}: one bad answer fails its call at once, or is read`, async (t) => {
    const answers = Object.entries(ANSWERS).map(([name, [answer]]) => [`tools/call ${name}`, answer]);
    const connection = await connect(t, {
      'tools/list': resultOf({ tools: [] }),
      ...(Object.fromEntries(answers) as Answers),
    });
    await connection.request(request('tools/list'));
    for (const [name, [, text]] of Object.entries(ANSWERS)) {
      if (typeof text === 'string') t.same(await toModel(connection, name), [{ type: 'text', text }], name);
      else await t.rejects(connection.callTool(callOf(name)), { code: 'ERR_MCP', message: text }, name);
    }
  });
}

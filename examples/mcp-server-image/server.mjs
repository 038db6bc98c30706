// An MCP server with one tool, without dependencies, to show what goes over stdio: one JSON-RPC message a line.
// With more than a tool or two take an SDK: https://modelcontextprotocol.io. stdout is the protocol's; logs go to stderr.
import { randomInt } from 'node:crypto';
import { createInterface } from 'node:readline';

const ROLL = {
  name: 'roll_dice',
  description: 'Rolls dice and returns each number.',
  inputSchema: {
    type: 'object',
    properties: { count: { type: 'integer', minimum: 1, maximum: 100 } },
    required: ['count'],
  },
};

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'dice', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [ROLL] }),
  'tools/call': ({ name, arguments: { count } }) => {
    // What the model can mend is a result with isError; a JSON-RPC error is for a broken request.
    if (name !== ROLL.name) return { isError: true, content: [{ type: 'text', text: `there is no tool ${name}` }] };
    const rolled = Array.from({ length: count }, () => randomInt(1, 7));
    return { content: [{ type: 'text', text: `rolled ${rolled.join(', ')}` }] };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params = {} } = JSON.parse(line);
  if (id === undefined) continue; // a notification gets no answer
  const run = methods[method];
  const answer = run ? { result: run(params) } : { error: { code: -32601, message: `no method ${method}` } };
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
}

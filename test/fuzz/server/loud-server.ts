/** An MCP server for inside a sandbox, as a program's text: its one tool prints to stdout what its call says, then answers. */

export const LOUD_SERVER = `
let rest = '';
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
const tools = [{ name: 'raw', description: 'prints', inputSchema: { type: 'object', properties: { data: { type: 'string' } } } }];
const results = {
  initialize: { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } }, serverInfo: { name: 'loud', version: '1' } },
  'tools/list': { tools },
  ping: {},
};
process.stdin.setEncoding('utf8').on('data', (text) => {
  rest += text;
  for (let end = rest.indexOf('\\n'); end >= 0; end = rest.indexOf('\\n')) {
    const request = JSON.parse(rest.slice(0, end));
    rest = rest.slice(end + 1);
    if (request.id === undefined) continue;
    const { id, method, params } = request;
    if (method === 'tools/call') {
      const data = Buffer.from(params.arguments.data, 'base64').toString();
      process.stdout.write(data.replaceAll('"THE-ID"', JSON.stringify(id)) + '\\n');
      say({ id, result: { content: [{ type: 'text', text: 'done' }] } });
    } else if (results[method]) say({ id, result: results[method] });
    else say({ id, error: { code: -32601, message: 'no such method' } });
  }
});
`;

/** A stdio MCP server written with SDK v1, which speaks the legacy protocol only. A program of the tests. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer({ name: 'sdk-v1', version: '1' });
const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: String(value) }] });
let cancelled = 0;

server.registerTool('echo', { inputSchema: { text: z.string() } }, async (args) => text(args.text));
server.registerTool('pid', {}, async () => text(process.pid));
server.registerTool('exit', { inputSchema: { code: z.number() } }, async ({ code }) => process.exit(code));
server.registerTool('more', {}, async () => {
  server.registerTool('extra', {}, async () => text('extra'));
  return text('more');
});
server.registerTool('cancelled', {}, async () => text(cancelled));
server.registerTool('wait', {}, async ({ _meta, sendNotification, signal }) => {
  const progressToken = _meta?.progressToken;
  if (progressToken !== undefined) {
    const params = { progressToken, progress: 1, total: 2, message: 'waiting' };
    await sendNotification({ method: 'notifications/progress', params });
  }
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  cancelled++;
  return text('cancelled');
});
server.registerTool('ask', {}, async () => {
  const requestedSchema = {
    type: 'object' as const,
    properties: { colour: { type: 'string' as const } },
    required: ['colour'],
  };
  return text(JSON.stringify(await server.server.elicitInput({ message: 'Which colour?', requestedSchema })));
});

await server.connect(new StdioServerTransport());

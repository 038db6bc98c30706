import { InMemoryTransport } from '@modelcontextprotocol/client';
import { Server } from '@modelcontextprotocol/server';
import pino from 'pino';
import t from 'tap';
import { HostClient } from '../../../../workers/agent/mcp/host/host-client.js';

t.test('the SDK’s client compiles no schema of a server, also of tools that it has listed', async (t) => {
  const server = new Server({ name: 'evil', version: '1' }, { capabilities: { tools: {} } });
  const outputSchema = { type: 'object' as const, properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
  const tool = { name: 'echo', inputSchema: { type: 'object' as const }, outputSchema };
  server.setRequestHandler('tools/list', () => ({ tools: [tool] }));
  const structuredContent = { a: `${'a'.repeat(40)}!` };
  server.setRequestHandler('tools/call', () => ({ content: [], structuredContent }));
  const [mine, theirs] = InMemoryTransport.createLinkedPair();
  await server.connect(theirs);
  const host = new HostClient({ server: 'evil', capabilities: {}, log: pino({ level: 'silent' }) });
  await host.connect(mine);
  t.teardown(() => host.close());
  await host.client.listTools();
  t.same((await host.client.callTool({ name: 'echo', arguments: {} })).structuredContent, structuredContent);
});

/** Serves newer MCP revisions with the SDK; loaded only when a client does not send `initialize` first. Runs in the sandbox. */
import { ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { CAPABILITIES, progressOf, SERVER_INFO, toldBy } from './server.js';
import type { Tool } from './tools.js';

/** Ends the process with the connection, whose every end calls `close`: stdin closed, stdout broken, message over the limit. */
class LastTransport extends StdioServerTransport {
  override async close(): Promise<void> {
    await super.close();
    process.exit(0);
  }
}

export function serveNewerEra(tools: readonly Tool[], maxMessageBytes: number): void {
  const transport = new LastTransport(process.stdin, process.stdout, { maxBufferSize: maxMessageBytes });
  serveStdio(() => newerEraServer(tools), {
    transport,
    onerror: (error) => process.stderr.write(`${error.message}\n`),
  });
}

function newerEraServer(tools: readonly Tool[]): Server {
  const server = new Server(SERVER_INFO, { capabilities: CAPABILITIES });
  server.setRequestHandler('tools/list', () => ({ tools: tools.map(({ listed }) => listed) }));
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const tool = tools.find(({ listed }) => listed.name === params.name);
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Tool ${params.name} not found`);
    const token = mcpReq._meta?.progressToken;
    const { signal } = mcpReq;
    const told = toldBy(mcpReq._meta);
    if (token === undefined) return tool.call(params.arguments ?? {}, { ...told, signal });
    return tool.call(params.arguments ?? {}, {
      ...told,
      signal,
      report: async (piece) => mcpReq.notify({ method: 'notifications/progress', params: progressOf(piece, token) }),
    });
  });
  return server;
}

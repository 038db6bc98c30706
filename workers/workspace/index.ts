/** Doorway of the workspace server: the main thread of the sandbox's own process, MCP on its stdin and stdout. */
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { Workspace } from './paths.js';
import { killEverything } from './process-groups.js';
import { createWorkspaceServer } from './server.js';

/** A file that a tool call brings has to fit into one message. */
const MAX_MESSAGE_BYTES = 33_554_432;

/** Every end of the connection comes through here: stdin closed, stdout broken, a message over the limit. */
class LastTransport extends StdioServerTransport {
  override async close(): Promise<void> {
    await super.close();
    process.exit(0);
  }
}

process.on('exit', killEverything);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));

try {
  const workspace = await Workspace.open(process.env['FAIRLEAD_WORKSPACE'] ?? '/workspace');
  const transport = new LastTransport(process.stdin, process.stdout, { maxBufferSize: MAX_MESSAGE_BYTES });
  serveStdio(() => createWorkspaceServer(workspace), {
    transport,
    onerror: (error) => process.stderr.write(`${error.message}\n`),
  });
} catch (error) {
  process.stderr.write(`workspace: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Entry of the workspace server, an MCP server on stdin and stdout. Main thread of a process in the sandbox. */
import { LineReader } from '../../src/shared/line-reader.js';
import { Workspace } from './paths.js';
import { killEverything } from './process-groups.js';
import { isHandshake, parseMessage, WorkspaceServer } from './server.js';
import { workspaceTools, type Tool } from './tools.js';

/** Bounds the files that write_file can take, since each is in one message. */
const MAX_MESSAGE_BYTES = 33_554_432;

function complain(text: string): void {
  process.stderr.write(`workspace: ${text}\n`);
}

/** The first message decides: `initialize` is served here, anything else goes to the SDK from that message on. */
function serve(tools: readonly Tool[]): void {
  const server = new WorkspaceServer(tools, process.stdout);
  const lines = new LineReader(MAX_MESSAGE_BYTES, (bytes) => new RangeError(`a message is longer than ${bytes} bytes`));
  let opened = false;
  const onData = (chunk: Buffer): void => {
    const others: string[] = [];
    try {
      for (const line of lines.read(chunk)) {
        if (line === '') continue; // a new client sends a newline first, to end its predecessor's half line
        const message = others.length === 0 ? parseMessage(line) : undefined;
        if (others.length > 0) others.push(line);
        else if (message === undefined) complain('a line is not an MCP message');
        else if (opened || isHandshake(message)) {
          opened = true;
          server.receive(message);
        } else others.push(line);
      }
    } catch (error) {
      complain((error as Error).message);
      process.exit(0);
    }
    if (others.length === 0) return;
    process.stdin.off('data', onData);
    void handOver(tools, Buffer.concat([Buffer.from(`${others.join('\n')}\n`), lines.takeRest()]));
  };
  process.stdin.on('data', onData);
}

async function handOver(tools: readonly Tool[], received: Buffer): Promise<void> {
  process.stdin.pause();
  const { serveNewerEra } = await import('./newer-era.js');
  process.stdin.unshift(received);
  serveNewerEra(tools, MAX_MESSAGE_BYTES);
  process.stdin.resume();
}

async function main(): Promise<void> {
  process.on('exit', killEverything);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));
  try {
    const workspace = await Workspace.open(process.env['FAIRLEAD_WORKSPACE'] ?? '/workspace');
    for (const end of ['end', 'close', 'error'] as const) process.stdin.once(end, () => process.exit(0));
    process.stdout.once('error', () => process.exit(0));
    serve(workspaceTools(workspace));
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

void main();

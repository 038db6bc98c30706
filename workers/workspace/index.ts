/** Entry of the workspace server, an MCP server on stdin and stdout. Main thread of a process in the sandbox. */
import './no-inspector.js';
import { LineReader } from '../../src/shared/line-reader.js';
import { writeAccounts } from './accounts.js';
import { RunnerLink } from './runner-link.js';
import { MAX_MESSAGE_BYTES, RUNNER_HASH } from './runner-wire.js';
import { isHandshake, parseMessage, WorkspaceServer } from './server.js';
import type { Tool } from './tools.js';

interface Tools {
  readonly tools: readonly Tool[];
  /** Resolves when tools can run. */
  readonly alive: () => Promise<void>;
}

function complain(text: string): void {
  process.stderr.write(`workspace: ${text}\n`);
}

/** The first message decides: `initialize` is served here, anything else goes to the SDK from that message on. */
function serve({ tools, alive }: Tools): void {
  const server = new WorkspaceServer(tools, process.stdout, alive);
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

/** The docker thread starts the runner, and reads `onWanted`'s line. Its user is not this one, so commands cannot write it. */
async function throughRunner(hash: string): Promise<Tools> {
  const link = await RunnerLink.listen({
    hash,
    onWanted: () => complain('a runner is wanted'),
    onRunner: (runner) => writeAccounts({ server: process.getuid?.() ?? 0, runner }),
  });
  return { tools: link.tools, alive: () => link.alive() };
}

/** Where no second user is offered: without Docker, and in a container that somebody starts by hand. */
async function inThisProcess(): Promise<Tools> {
  const { openTools, killEverything } = await import('./in-process.js');
  process.on('exit', killEverything);
  return { tools: await openTools(), alive: async () => undefined };
}

async function main(): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));
  const hash = process.env[RUNNER_HASH];
  try {
    const tools = await (hash === undefined ? inThisProcess() : throughRunner(hash));
    for (const end of ['end', 'close', 'error'] as const) process.stdin.once(end, () => process.exit(0));
    process.stdout.once('error', () => process.exit(0));
    serve(tools);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

void main();

/** The workspace server as a child process behind the SDK's real client, in a folder of the test's own. */
import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type CallToolResult, type Progress, type RequestOptions } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { COMMAND_META, FAULT_META, STREAM_META, type CommandMeta } from '../../../workers/workspace/server.js';

export const SERVER = fileURLToPath(new URL('../../../workers/workspace/index.js', import.meta.url));

interface Teardown {
  teardown: (fn: () => Promise<void>) => unknown;
}

/**
 * The SDK's client runs a progress handler a microtask after its notification, and forgets it in the very moment of the
 * result: what a transport delivers in one go with the result is lost. One microtask between messages is enough.
 */
class OrderedTransport extends StdioClientTransport {
  override async start(): Promise<void> {
    const deliver = this.onmessage;
    let last = Promise.resolve();
    this.onmessage = (message) => {
      last = last.then(() => deliver?.(message));
    };
    await super.start();
  }
}

export class WorkspaceClient {
  /** The workspace; `outside` is a folder beside it that no tool may reach. */
  readonly root: string;
  readonly outside: string;
  readonly client: Client;
  readonly pid: number;

  constructor(folder: string, client: Client, pid: number) {
    this.root = join(folder, 'root');
    this.outside = join(folder, 'outside');
    this.client = client;
    this.pid = pid;
  }

  async call(name: string, args: Record<string, unknown>, options?: RequestOptions): Promise<CallToolResult> {
    return this.client.callTool({ name, arguments: args }, { timeout: 60_000, ...options });
  }

  /** The text of a call that must succeed. */
  async text(name: string, args: Record<string, unknown>): Promise<string> {
    const result = await this.call(name, args);
    if (result.isError === true) throw new Error(textOf(result));
    return textOf(result);
  }

  /** The FaultCode of a call that must fail as a result, not as an error of the protocol. */
  async fault(name: string, args: Record<string, unknown>): Promise<unknown> {
    const result = await this.call(name, args);
    if (result.isError !== true) throw new Error(`not an error: ${textOf(result)}`);
    return result._meta?.[FAULT_META];
  }
}

export function textOf(result: CallToolResult): string {
  return result.content.map((block) => (block.type === 'text' ? block.text : `<${block.type}>`)).join('\n');
}

export function blocksOf(result: CallToolResult): string[] {
  return result.content.map((block) => (block.type === 'text' ? block.text : `<${block.type}>`));
}

export function commandMeta(result: CallToolResult): CommandMeta {
  return result._meta?.[COMMAND_META] as CommandMeta;
}

/** What the SDK's progress callback gets carries `_meta`, though its type does not say so. */
export function streamOf(progress: Progress & { _meta?: Record<string, unknown> }): unknown {
  return progress._meta?.[STREAM_META];
}

export async function startWorkspace(t: Teardown, env: Record<string, string> = {}): Promise<WorkspaceClient> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'fl-workspace-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'root'));
  await mkdir(join(folder, 'outside'));
  const transport = new OrderedTransport({
    command: process.execPath,
    args: [SERVER],
    env: { PATH: process.env['PATH'] ?? '', FAIRLEAD_WORKSPACE: join(folder, 'root'), ...env },
  });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  t.teardown(() => client.close());
  if (transport.pid === null) throw new Error('the server has no pid');
  return new WorkspaceClient(folder, client, transport.pid);
}

/** Whether a process runs; a zombie that nobody has reaped yet does not. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+[ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return false;
    throw error;
  }
}

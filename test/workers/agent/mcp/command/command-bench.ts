/** `command` servers as one agent thread has them, with real processes and no engine around. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { parseConfig, type Config } from '../../../../../src/shared/config.js';
import { FairleadError } from '../../../../../src/shared/errors.js';
import type { Logger } from '../../../../../src/shared/log.js';
import { registry } from '../../../../../src/shared/metrics.js';
import { RECORD_FILE } from '../../../../../src/shared/process-record.js';
import { Commands } from '../../../../../workers/agent/mcp/command/commands.js';
import type { SandboxHost } from '../../../../../workers/agent/mcp/sandbox/connection.js';
import { SessionSandboxes } from '../../../../../workers/agent/mcp/sandbox/session-sandboxes.js';
import type {
  ServerAsks,
  ServerConnection,
  ToolCall,
} from '../../../../../workers/agent/mcp/host/server-connection.js';
import { sharedSession } from '../../../../../workers/agent/mcp/host/shared-sessions.js';
import { SessionTools } from '../../../../../workers/agent/mcp/catalogue/session-tools.js';

const refuse = (): never => {
  throw new FairleadError('ERR_SANDBOX', 'there are no sandboxes here');
};
const NO_SANDBOXES: SandboxHost = {
  lease: refuse,
  exec: refuse,
  hibernate: refuse,
  keep: refuse,
  replace: refuse,
  release: refuse,
};

export const OF = { session: 'session-1', user: 'user-1' };

interface Teardown {
  teardown: (fn: () => Promise<void> | void) => unknown;
}

export interface CommandBench {
  commands: Commands;
  sandboxes: SessionSandboxes;
  dataDir: string;
  /** Folders of processes that are there. */
  folders: () => string[];
  /** Of the processes that are there. */
  pids: () => number[];
  lines: Record<string, unknown>[];
}

export interface BenchOptions {
  servers: Record<string, object>;
  mcp?: object;
  dataDir?: string;
  index?: number;
  threads?: number;
  /** Where sandboxes come from; absent: there are none. */
  host?: (config: Config, log: Logger) => SandboxHost;
  sandbox?: object;
}

export function makeFolder(t: Teardown): string {
  const dir = mkdtempSync(join(tmpdir(), 'fl-command-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function startCommands(t: Teardown, options: BenchOptions): CommandBench {
  const { servers, mcp = {}, dataDir = makeFolder(t), index = 0, threads = 1, sandbox = {} } = options;
  // Each real agent thread has a registry of its own.
  for (const name of ['fairlead_agent_sandboxes', 'fairlead_agent_commands']) registry.removeSingleMetric(name);
  const json = { allowHostCommands: true, mcp, sandbox, mcpServers: servers };
  const config = parseConfig(json, { ...process.env, FAIRLEAD_DATA: dataDir }, dataDir);
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const host = options.host?.(config, log) ?? NO_SANDBOXES;
  const shared = sharedSession(index);
  const sessionTools = new SessionTools({ timeoutMs: config.mcp.requestTimeoutMs, shared, log });
  const sandboxes = new SessionSandboxes({ host, config, shared, sessionTools, log });
  const commands = new Commands({ config, place: { index, threads }, sandboxes, host, sessionTools, log });
  t.teardown(async () => {
    await commands.disconnect();
    await sandboxes.disconnect();
  });
  const root = join(dataDir, 'commands', String(index));
  const pidIn = (folder: string): number => {
    const record = JSON.parse(readFileSync(join(root, folder, RECORD_FILE), 'utf8')) as { pid: number };
    return record.pid;
  };
  const folders = (): string[] => foldersIn(root);
  return { commands, sandboxes, dataDir, lines, folders, pids: () => folders().map(pidIn) };
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const NOBODY: ServerAsks = { elicit: async () => ({ action: 'cancel' }) };

export function callOf(name: string, args: Record<string, unknown> = {}, more: Partial<ToolCall> = {}): ToolCall {
  return {
    name,
    args,
    signal: new AbortController().signal,
    timeoutMs: 20_000,
    asks: NOBODY,
    onOutput: () => undefined,
    ...more,
  };
}

/** The text of the result. */
export async function textOf(connection: ServerConnection, call: ToolCall): Promise<string> {
  const { content } = await connection.callTool(call);
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

/** The process is there, and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

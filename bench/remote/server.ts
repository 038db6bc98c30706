/** The remote MCP server in its process, Fairlead's way to it, and a call. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { parseConfig } from '../../src/shared/config.js';
import { registry } from '../../src/shared/metrics.js';
import { Remotes } from '../../workers/agent/mcp/remote/remotes.js';
import type { ToolCall } from '../../workers/agent/mcp/host/server-connection.js';

/** Modern: 2026-07-28, stateless. Legacy: 2025-11-25, with sessions. */
export const PROTOCOLS = ['modern', 'legacy'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface Counts {
  /** Connections made in all. */
  sockets: number;
  /** Open at once, at most. */
  most: number;
  sessions: number;
}

export interface BenchServer {
  url: string;
  counts(): Promise<Counts>;
  stop(): void;
}

export async function startServer(protocol: Protocol): Promise<BenchServer> {
  const child: ChildProcess = fork(fileURLToPath(new URL('server-main.js', import.meta.url)), [protocol]);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return {
    url,
    counts: async () => {
      const answer = once(child, 'message');
      child.send({});
      return ((await answer) as [Counts])[0];
    },
    stop: () => child.disconnect(),
  };
}

export function remotesFor(url: string): Remotes {
  registry.clear();
  const config = parseConfig({ mcp: { allowLoopback: true }, mcpServers: { one: { url } } }, {});
  return new Remotes(config, pino({ level: 'warn' }));
}

export function echo(text: string): ToolCall {
  return {
    name: 'echo',
    args: { text },
    signal: new AbortController().signal,
    timeoutMs: 60_000,
    asks: { elicit: async () => ({ action: 'cancel' }) },
    onOutput: () => undefined,
  };
}

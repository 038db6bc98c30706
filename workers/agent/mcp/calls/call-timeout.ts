/** The longest that a tool call, or what a user waits for like one, may take at a server. Pure; agent threads. */
import type { Config } from '../../../../src/shared/config.js';

export function callTimeoutMs({ mcpServers, sandbox }: Pick<Config, 'mcpServers' | 'sandbox'>, server: string): number {
  return mcpServers[server]?.timeoutMs ?? sandbox.toolTimeoutMs;
}

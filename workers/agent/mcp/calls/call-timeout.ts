/** The deadline of a server's tool calls, and of other requests that a user waits for as long. Pure; agent threads. */
import type { Config } from '../../../../src/shared/config.js';

export function callTimeoutMs({ mcpServers, sandbox }: Pick<Config, 'mcpServers' | 'sandbox'>, server: string): number {
  return mcpServers[server]?.timeoutMs ?? sandbox.toolTimeoutMs;
}

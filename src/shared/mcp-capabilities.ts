/** The client capabilities that MCP servers are told. Docker thread (handshake) and agent threads. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import type { McpServerConfigs } from './config-mcp.js';

/** Forms and addresses for the user, roots, and sampling only where it is configured. */
export function capabilitiesFor(servers: McpServerConfigs, server: string): ClientCapabilities {
  const sampling = servers[server]?.sampling;
  return {
    elicitation: { form: { applyDefaults: true }, url: {} },
    roots: {},
    ...(sampling ? { sampling: {} } : {}),
  };
}

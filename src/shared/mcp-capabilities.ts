/** What we tell MCP servers that we can do for them. Shared: the docker thread greets them, agent threads talk to them. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import type { McpServerConfigs } from './config-mcp.js';

/** Questions to the person, as a form or as an address to open; the folders; the model only where it is configured. */
export function capabilitiesFor(servers: McpServerConfigs, server: string): ClientCapabilities {
  const sampling = servers[server]?.sampling;
  return {
    elicitation: { form: { applyDefaults: true }, url: {} },
    roots: {},
    ...(sampling ? { sampling: {} } : {}),
  };
}

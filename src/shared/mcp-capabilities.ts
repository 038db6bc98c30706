/** The client capabilities that MCP servers are told, and may use. Docker thread (handshake) and agent threads. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { isInSandbox, type McpServerConfig, type McpServerConfigs } from './config-mcp.js';
import type { QuestionOrigin } from './protocol.js';

/** The first revision without `initialize`. */
export const NEWER_PROTOCOL = '2026-07-28';

/**
 * The operator knows whom they name as a `url` or a host command, so these may ask the user. In a sandbox the agent's own code
 * can speak for the server, so a server there may ask only what is configured. Sampling is configured for every server.
 */
export function capabilitiesFor(servers: McpServerConfigs, name: string): ClientCapabilities {
  const server = servers[name];
  return server ? capabilitiesOf(server) : {};
}

export function capabilitiesOf(
  server: Partial<Pick<McpServerConfig, 'elicitation' | 'roots' | 'sampling'>> & { image?: string },
): ClientCapabilities {
  const asks = !isInSandbox(server);
  return {
    ...((server.elicitation ?? asks) ? { elicitation: { form: { applyDefaults: true }, url: {} } } : {}),
    ...((server.roots ?? asks) ? { roots: {} } : {}),
    ...(server.sampling ? { sampling: {} } : {}),
  };
}

/** Who can have written a question of this server. */
export function originOf(servers: McpServerConfigs, name: string): { origin?: QuestionOrigin } {
  const server = servers[name];
  return server && isInSandbox(server) ? { origin: 'sandbox' } : {};
}

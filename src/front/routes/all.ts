/** The table of all routes. Main thread. */
import type { Drain } from '../../admin/drain.js';
import type { SandboxDesk } from '../../admin/sandbox-desk.js';
import type { Credentials } from '../../credentials/credentials.js';
import type { Route } from '../router.js';
import { browserRoutes, type BrowserRoutesOptions } from './browser-login.js';
import { credentialRoutes } from './admin-credentials.js';
import { drainRoutes } from './admin-drain.js';
import { exportRoutes } from './export.js';
import { reloadRoutes, type Reload } from './admin-reload.js';
import { sandboxRoutes } from './admin-sandboxes.js';
import { adminUserRoutes, type AdminUserParts } from './admin-users.js';
import { adminSessionRoutes, type AdminSessionParts } from './admin-sessions.js';
import { statusRoutes, type StatusRouteParts } from './admin-status.js';
import { descriptionRoutes } from './descriptions.js';
import { consoleRoutes, type ConsoleParts } from './console.js';
import { fileRoutes, type FileParts } from './files.js';
import { healthRoutes, type HealthParts } from './health.js';
import { serverRoutes, type McpAdmin } from './mcp.js';
import { meRoutes, type MeParts } from './me.js';
import { mcpRoutes } from './mcp-endpoint.js';
import { pinRoutes, type PinRoutesOptions } from './mcp-pins.js';
import { oauthRoutes, type OAuthRoutesOptions } from './mcp-oauth.js';
import { sessionRoutes } from './sessions.js';
import { turnRoutes, type TurnParts } from './turns.js';
import { usageRoutes } from './usage.js';
import type { McpExchanges } from '../mcp-exchanges.js';

export interface RouteParts {
  /** Absent: no browser logs in. */
  browsers?: BrowserRoutesOptions | undefined;
  console: Omit<ConsoleParts, 'browsers' | 'isBlocked'>;
  health: HealthParts;
  me: Omit<MeParts, 'credentials'>;
  turns: TurnParts;
  /** Absent: it has no sandboxes. */
  files?: FileParts | undefined;
  mcpExchanges: McpExchanges;
  mcp: McpAdmin;
  pins: PinRoutesOptions;
  oauth: Omit<OAuthRoutesOptions, 'agents'>;
  /** Absent: there are no tokens but those of the configuration. */
  credentials?: Credentials | undefined;
  adminUsers: AdminUserParts;
  adminSessions: Omit<AdminSessionParts, 'agents'>;
  status: StatusRouteParts;
  /** Absent: it cannot be drained. */
  drain?: Drain | undefined;
  /** Absent: the configuration stays as it is. */
  reload?: Reload | undefined;
  /** Absent: it has no sandboxes. */
  sandboxDesk?: SandboxDesk | undefined;
}

export function allRoutes(parts: RouteParts): Route[] {
  const { browsers, health, turns, mcpExchanges, mcp, pins, oauth, credentials, adminSessions } = parts;
  const { adminUsers, status, drain, reload, sandboxDesk, files } = parts;
  const { agents } = turns;
  const isBlocked = (user: string): boolean => credentials?.blocked.has(user) ?? false;
  const routes: Route[] = [
    ...healthRoutes(health),
    ...sessionRoutes(turns),
    ...meRoutes({ ...parts.me, credentials }),
    ...(files ? fileRoutes({ ...turns, ...files }) : []),
    ...mcpRoutes(mcpExchanges),
    ...serverRoutes({ agents, mcp }),
    ...pinRoutes(pins),
    ...oauthRoutes({ agents, ...oauth }),
    ...turnRoutes(turns),
    ...usageRoutes(agents),
    ...(browsers ? browserRoutes(browsers, isBlocked) : []),
    ...consoleRoutes({ ...parts.console, browsers, isBlocked }),
    ...(credentials ? credentialRoutes(credentials) : []),
    ...adminSessionRoutes({ agents, ...adminSessions }),
    ...statusRoutes(status),
    ...adminUserRoutes(adminUsers),
    ...(adminUsers.exports ? exportRoutes(adminUsers.exports) : []),
    ...(drain ? drainRoutes(drain) : []),
    ...(reload ? reloadRoutes(reload) : []),
    ...(sandboxDesk ? sandboxRoutes(sandboxDesk) : []),
    ...descriptionRoutes(() => routes),
  ];
  return routes;
}

/** The parts that the front is made of, and its questions to the rest of the engine. Main thread. Types only. */
import type { UserServer } from '../../workers/agent/contract/mcp.js';
import type { Config } from '../shared/config.js';
import type { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Agents } from '../threads/agents.js';
import type { DockerPool } from '../threads/docker-pool.js';
import type { Drain } from '../admin/drain.js';
import type { Eraser } from '../admin/eraser.js';
import type { Erasures } from '../admin/erasures.js';
import type { UserExports } from '../admin/export/user-export.js';
import type { AdminDesk } from '../admin/desk.js';
import type { Credentials } from '../credentials/credentials.js';
import type { ConsoleFiles } from '../front/console-files.js';
import type { EngineStatus } from '../front/routes/admin-status.js';
import type { Reload } from '../front/routes/admin-reload.js';
import type { BrowserRoutesOptions } from '../front/routes/browser-login.js';
import type { McpAdmin } from '../front/routes/mcp.js';
import type { PinRoutesOptions } from '../front/routes/mcp-pins.js';
import type { SocketClaims } from '../front/socket-claims.js';

export interface FrontOptions {
  /** Its live keys may change: see live-keys.ts. */
  config: Config;
  agents: Agents;
  log: Logger;
  /** All valid tokens, that of the data folder too. */
  auth: Config['auth'];
  /** Reads the configuration file again. Absent: nobody can. */
  reload?: Reload | undefined;
  /** How browsers log in. Absent: they do not. */
  browsers?: BrowserRoutesOptions;
  /** The page that people work in. Absent: there is none. */
  console?: ConsoleFiles | undefined;
  /** Tokens that are made live, and blocked users. */
  credentials?: Credentials;
  /** Does what administrators ask. */
  desk: AdminDesk;
  /** Absent: users cannot be deleted. */
  eraser?: Eraser;
  erasures?: Erasures;
  /** Absent: nothing can be exported. */
  exports?: UserExports;
  /** Absent: it cannot be drained but by its stop. */
  drain?: Drain;
  /** Absent: it has no sandboxes. */
  docker?: () => Pick<DockerPool, 'run'> | undefined;
  /** Why requests that came through a proxy are refused; undefined: they are served. */
  noProxy?: string | undefined;
  readiness: () => { ready: boolean; reasons: string[] };
  /** Why no request but a probe is served yet. Absent: all are. */
  notServing?: () => FairleadError | undefined;
  /** Absent: no other server has the same store. */
  claims?: SocketClaims | undefined;
  /** The metrics of all threads in Prometheus' text format. */
  metrics: () => Promise<string>;
  mcp: McpAdmin;
  pins: PinRoutesOptions;
  /** How all but the front does. */
  status: () => Promise<EngineStatus>;
  /** The sandboxes by server and state. Absent: none are known. */
  sandboxes?: () => Promise<object[]>;
  /** Tells all threads that the user has logged in to an MCP server, or out. */
  forgetLogin: (of: UserServer) => Promise<void>;
}

/** What the parts of `/mcp` share on one agent thread. Agent threads. */
import type { AuthInfo, RequestStateCodec } from '@modelcontextprotocol/server';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { SessionRow } from '../store/store.js';
import type { Caller } from '../mcp/host/server-connection.js';
import type { AgentParts } from '../turn/turn.js';
import { HttpExchange } from './exchange.js';
import type { Routes } from './routes.js';
import type { ServedCalls } from './served-calls.js';

export interface ServeParts {
  agent: Pick<AgentParts, 'config' | 'policy' | 'servers' | 'toolArgs' | 'toolSet' | 'catalogue'>;
  calls: ServedCalls;
  routes: Routes;
  /** Seals what a client of the newer era carries back to us. */
  states: RequestStateCodec<CallState>;
  /** The session stays in memory while `work` runs, and is made first where it is one that is kept for the user. */
  hold: <T>(of: Served, work: (row: SessionRow) => Promise<T>) => Promise<T>;
  /** Something is done in the session that would be lost with it. */
  use: (of: Served) => void;
  log: Logger;
}

/** For whom a server of the SDK answers. */
export interface Served extends Caller {
  /** It is kept for the user, and may not be there yet. */
  kept: boolean;
  /** Of all calls of one client. */
  owner: string;
}

export interface CallState {
  call: string;
  round: number;
  /** Of the request that it belongs to. */
  digest: string;
}

/** What comes with each request past the SDK, which hands it on as it is. No token: the main thread has judged that. */
export function authInfoOf(exchange: HttpExchange): AuthInfo {
  const { user, session } = exchange;
  return { token: '', clientId: user, scopes: [session], extra: { exchange } };
}

export function exchangeOf(authInfo: AuthInfo | undefined): HttpExchange {
  const exchange = authInfo?.extra?.['exchange'];
  if (exchange instanceof HttpExchange) return exchange;
  throw new FairleadError('ERR_INTERNAL', 'a request without its exchange');
}

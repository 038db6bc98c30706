/** The state that the parts of `/mcp` share on one agent thread. */
import type { AuthInfo, RequestStateCodec } from '@modelcontextprotocol/server';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Who } from '../../../src/shared/person.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Asked } from '../contract/sessions.js';
import type { SessionRow } from '../store/store.js';
import type { Caller } from '../mcp/host/server-connection.js';
import type { AgentParts } from '../turn/turn.js';
import { HttpExchange } from './exchange.js';
import type { Routes } from './routes.js';
import type { ServedCalls } from './served-calls.js';

export interface ServeParts {
  agent: Pick<AgentParts, 'config' | 'policy' | 'servers' | 'schemas' | 'toolArgs' | 'meter' | 'toolSet' | 'catalogue'>;
  calls: ServedCalls;
  routes: Routes;
  /** Seals the state that a client of the newer protocol sends back with its answers. */
  states: RequestStateCodec<CallState>;
  /** Keeps the session in memory while `work` runs. Creates it first when it is the one kept for the user. */
  hold: <T>(of: Served, work: (row: SessionRow) => Promise<T>) => Promise<T>;
  /** What no tool result of this server has said yet of lost files; the session is held. */
  takeLosses: (of: Caller, server: string) => Promise<{ type: 'text'; text: string }[]>;
  /** Marks the session as holding work that would be lost with it. */
  use: (of: Served) => void;
  log: Logger;
}

/** The client that an SDK server answers. */
export interface Served extends Caller, Asked {
  who?: Who;
  /** The session is the one kept for the user, and may not exist yet. */
  kept: boolean;
  /** The same for all calls of one client. */
  owner: string;
}

export interface CallState {
  call: string;
  round: number;
  /** Hash of the request that the state belongs to. */
  digest: string;
}

/** Carries the exchange through the SDK to the handlers. The token is empty: the main thread has checked it. */
export function authInfoOf(exchange: HttpExchange): AuthInfo {
  const { user, session } = exchange;
  return { token: '', clientId: user, scopes: [session], extra: { exchange } };
}

export function exchangeOf(authInfo: AuthInfo | undefined): HttpExchange {
  const exchange = authInfo?.extra?.['exchange'];
  if (exchange instanceof HttpExchange) return exchange;
  throw new FairleadError('ERR_INTERNAL', 'a request without its exchange');
}

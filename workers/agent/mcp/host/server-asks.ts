/** Answers what MCP servers ask of their client: the user, the session's model, the roots. The same in both protocols; agent threads. */
import type {
  ClientCapabilities,
  CreateMessageRequest,
  ElicitRequest,
  InputRequest,
  InputRequiredResult,
  ListRootsRequest,
  Root,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { QuestionOrigin } from '../../../../src/shared/protocol.js';
import { isOpenable, type Question } from './question.js';
import type { ServerRequestOptions, ServerAsks } from './server-connection.js';

/** More than one response of a server can sensibly ask for. */
export const MAX_INPUTS = 10;

export type Asked = ElicitRequest | CreateMessageRequest | ListRootsRequest;

export interface AskedServer {
  server: string;
  /** What the server may ask for. One that asks for more is refused, whatever it was told at its handshake. */
  capabilities: ClientCapabilities;
  /** Where its questions may come from. */
  origin?: QuestionOrigin | undefined;
  /** The folders that the server may work in. */
  roots?: readonly Root[];
}

/** ERR_MCP, worded for the server, where the configuration does not allow it. */
export async function answerOne(
  from: AskedServer,
  asked: Asked,
  asks: ServerAsks,
  signal: AbortSignal,
  key?: string,
): Promise<Record<string, unknown>> {
  const { server, roots = [] } = from;
  refuseUnsupported(from, asked.method);
  switch (asked.method) {
    case 'elicitation/create':
      return { ...(await asks.elicit(toQuestion(from, asked.params), signal, key)) };
    case 'sampling/createMessage':
      if (!asks.sample) throw new FairleadError('ERR_MCP', 'this client does not allow sampling');
      return { ...(await asks.sample(server, asked.params, signal, key)) };
    case 'roots/list':
      return { roots: (await asks.roots?.(signal, key)) ?? roots };
  }
}

/** The answers to a modern server's result that asks for input, by the server's keys. */
export async function answerAll(
  server: AskedServer,
  { inputRequests }: InputRequiredResult,
  { asks, signal }: Pick<ServerRequestOptions, 'asks' | 'signal'>,
): Promise<Record<string, unknown>> {
  const wanted = Object.entries((inputRequests ?? {}) as Record<string, InputRequest>);
  if (wanted.length > MAX_INPUTS)
    throw new FairleadError('ERR_MCP', `the server asks for ${wanted.length} inputs at once`);
  const answers = wanted.map(async ([key, asked]) => [key, await answerOne(server, asked, asks, signal, key)] as const);
  return Object.fromEntries(await Promise.all(answers));
}

const CAPABILITY = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
} as const satisfies Record<Asked['method'], keyof ClientCapabilities>;

/** ERR_MCP for what the configuration does not let this server ask. */
export function refuseUnsupported({ server, capabilities }: AskedServer, method: Asked['method']): void {
  const capability = CAPABILITY[method];
  if (capabilities[capability] !== undefined) return;
  throw new FairleadError('ERR_MCP', `not supported: ${capability} is not configured for the server ${server}`);
}

function toQuestion(from: AskedServer, params: ElicitRequest['params']): Question {
  const { message } = params;
  const server = { server: from.server, ...(from.origin ? { origin: from.origin } : {}) };
  if (params.mode === 'url') {
    if (!isOpenable(params.url)) throw new FairleadError('ERR_MCP', 'a user is shown http and https addresses only');
    return { ...server, mode: 'url', message, url: params.url };
  }
  return { ...server, mode: 'form', message, schema: params.requestedSchema };
}

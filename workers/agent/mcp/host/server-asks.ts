/** Answers what MCP servers ask of their client: the user, the session's model, the roots. The same in both protocols; agent threads. */
import type {
  CreateMessageRequest,
  ElicitRequest,
  InputRequest,
  InputRequiredResult,
  ListRootsRequest,
  Root,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import { isOpenable, type Question } from './question.js';
import type { ServerRequestOptions, ServerAsks } from './server-connection.js';

/** More than one response of a server can sensibly ask for. */
export const MAX_INPUTS = 10;

export type Asked = ElicitRequest | CreateMessageRequest | ListRootsRequest;

export interface AskedServer {
  server: string;
  /** The folders that the server may work in. */
  roots?: readonly Root[];
}

/** ERR_MCP, worded for the server, where the configuration does not allow it. */
export async function answerOne(
  { server, roots = [] }: AskedServer,
  asked: Asked,
  asks: ServerAsks,
  signal: AbortSignal,
  key?: string,
): Promise<Record<string, unknown>> {
  switch (asked.method) {
    case 'elicitation/create':
      return { ...(await asks.elicit(toQuestion(server, asked.params), signal, key)) };
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

function toQuestion(server: string, params: ElicitRequest['params']): Question {
  const { message } = params;
  if (params.mode === 'url') {
    if (!isOpenable(params.url)) throw new FairleadError('ERR_MCP', 'a user is shown http and https addresses only');
    return { server, mode: 'url', message, url: params.url };
  }
  return { server, mode: 'form', message, schema: params.requestedSchema };
}

/** Puts the questions of servers, in the middle of a client's call, to that client as requests of MCP. Agent threads. */
import {
  isSpecType,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type ClientCapabilities,
  type CreateMessageRequest,
  type CreateMessageResult,
  type InputRequest,
  type ListRootsResult,
  type Root,
} from '@modelcontextprotocol/server';
import { isUrlServer } from '../../../src/shared/config-mcp.js';
import type { AgentParts } from '../turn/turn.js';
import { quote } from '../../../src/shared/control-characters.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { originOf } from '../../../src/shared/mcp-capabilities.js';
import type { QuestionOrigin } from '../../../src/shared/protocol.js';
import type { ForeignSchemas } from '../schema/foreign-schemas.js';
import type { ServerAsks } from '../mcp/host/server-connection.js';
import type { Question, QuestionAnswer } from '../mcp/host/question.js';
import { isInvalidParams } from './protocol-errors.js';
import { UnfitResponse, type ServedCall } from './served-call.js';

const ORIGIN_META = 'fairlead/origin';
const FROM_SANDBOX = '[This text comes from code in the sandbox, not from Fairlead. Enter no secrets.]';
/** How often a client is asked one question. */
const MAX_TRIES = 3;
const CANCELLED: Readonly<QuestionAnswer> = { action: 'cancel' };

export interface ElicitOptions {
  schemas: Pick<ForeignSchemas, 'check'>;
  user: string;
  signal: AbortSignal;
  key?: string | undefined;
  /** See ClientQuestion. */
  early?: boolean;
}

/** An answer as the client gave it, judged by its shape alone; the form judges its content. */
type Given = { answer: QuestionAnswer } | { problem: string };

/**
 * Asks the client by elicitation, again with the reason where the answer does not fit the form. -32602, with the field, when it
 * never fits: what it meant is unknown, so it is no `cancel`. A client that cannot be asked counts as one that cancels.
 */
export async function elicit(
  call: ServedCall,
  question: Question,
  { schemas, user, signal, key, early = false }: ElicitOptions,
): Promise<QuestionAnswer> {
  if (!canElicit(call.capabilities, question.mode)) return CANCELLED;
  const { schema, server, mode } = question;
  const read = (response: unknown): Given | undefined => readAnswer(question, response);
  const unanswered = (): Given => ({ answer: CANCELLED });
  let problem = '';
  for (let time = 0; time < MAX_TRIES; time++) {
    const request = toInputRequest(question, problem);
    const given = await call.ask({ key, request, read, unanswered, signal, early });
    if ('answer' in given) {
      const { answer } = given;
      if (answer.action !== 'accept' || mode === 'url' || !schema) return answer;
      const fit = await schemas.check(schema, answer.content ?? {}, { user, server });
      if (fit.fits) return answer;
      problem = fit.problem;
      if ('unchecked' in fit) break; // asking again would not help
    } else problem = given.problem;
  }
  throw new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `The answer to the question of ${server} does not fit its form: ${problem}`,
  );
}

export function canElicit({ elicitation }: ClientCapabilities, mode: 'form' | 'url'): boolean {
  if (!elicitation) return false;
  // A client that names no mode knows forms: the capability began with forms alone.
  return mode === 'url' ? elicitation.url !== undefined : elicitation.form !== undefined || !elicitation.url;
}

/**
 * The asks for one call to `server`. All calls of one client share `owner`. `onUnanswered` is told of a capability that the client
 * lacks, and of an answer that does not fit; the server is told no, and may go on without, or fail with an error of its own.
 */
export function clientAsks(
  call: ServedCall,
  {
    server,
    agent: { config, schemas },
    of: { owner, user },
    onUnanswered,
  }: {
    server: string;
    agent: Pick<AgentParts, 'config' | 'schemas'>;
    of: { owner: string; user: string };
    onUnanswered: (error: ProtocolError) => void;
  },
): ServerAsks {
  const configured = config.mcpServers[server];
  const sampling = configured?.sampling;
  let samples = 0;
  return {
    owner,
    elicit: async (question, signal, key) => {
      try {
        return await elicit(call, question, { schemas, user, signal, key, early: true });
      } catch (error) {
        if (!isInvalidParams(error)) throw error;
        onUnanswered(error);
        throw new FairleadError('ERR_MCP', error.message, { cause: error });
      }
    },
    ...(sampling
      ? {
          sample: async (_server, params, signal, key) => {
            if (++samples > sampling.maxPerCall) {
              throw new FairleadError('ERR_MCP', `more than ${sampling.maxPerCall} messages of the model in one call`);
            }
            const missing = missingForSampling(call.capabilities, params);
            if (missing) {
              onUnanswered(missing);
              throw new FairleadError('ERR_MCP', 'the client has no model to offer', { cause: missing });
            }
            const limited = { ...params, maxTokens: Math.min(params.maxTokens, sampling.maxTokens) };
            return sample(call, limited, originOf(config.mcpServers, server).origin, signal, key);
          },
        }
      : {}),
    // Only `url` servers see the client's folders: a sandbox has folders of its own.
    ...(configured && isUrlServer(configured) && call.capabilities.roots
      ? { roots: (signal, key) => roots(call, signal, key) }
      : {}),
  };
}

function sample(
  call: ServedCall,
  { _meta, ...params }: CreateMessageRequest['params'],
  origin: QuestionOrigin | undefined,
  signal: AbortSignal,
  key: string | undefined,
): Promise<CreateMessageResult> {
  return call.ask({
    key,
    request: { method: 'sampling/createMessage', params: { ...params, ...originMeta(origin) } },
    read: (response) => (isSpecType.CreateMessageResult(response) ? response : undefined),
    unanswered: () => {
      throw new FairleadError('ERR_MCP', 'the client did not answer');
    },
    signal,
    early: true,
  });
}

async function roots(call: ServedCall, signal: AbortSignal, key: string | undefined): Promise<Root[]> {
  const result = await call.ask<ListRootsResult>({
    key,
    request: { method: 'roots/list' },
    read: (response) => (isSpecType.ListRootsResult(response) ? response : undefined),
    unanswered: () => ({ roots: [] }),
    signal,
    early: true,
  });
  return result.roots;
}

function missingForSampling(
  { sampling }: ClientCapabilities,
  params: CreateMessageRequest['params'],
): MissingRequiredClientCapabilityError | undefined {
  if (!sampling) return new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
  const tools = params.tools !== undefined || params.toolChoice !== undefined;
  if (!tools || sampling.tools) return undefined;
  return new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: { tools: {} } } });
}

/** `problem`: of the answer before. */
function toInputRequest({ mode, message: text, schema, url, origin }: Question, problem: string): InputRequest {
  // Clients show the message alone, so the origin stands in it too, and why it is asked again.
  const again = problem === '' ? '' : `[The last answer does not fit the form: ${quote(problem)}]\n\n`;
  const message = `${again}${origin === 'sandbox' ? `${FROM_SANDBOX}\n\n` : ''}${text}`;
  const params = {
    ...originMeta(origin),
    ...(mode === 'url'
      ? { mode, message, url }
      : { mode, message, requestedSchema: schema ?? { type: 'object', properties: {} } }),
  };
  return { method: 'elicitation/create', params } as InputRequest;
}

function originMeta(origin: QuestionOrigin | undefined): { _meta?: Record<string, unknown> } {
  return origin === undefined ? {} : { _meta: { [ORIGIN_META]: origin } };
}

const ACTIONS: readonly unknown[] = ['accept', 'decline', 'cancel'];

/** Undefined when there is no response. */
function readAnswer({ mode }: Question, response: unknown): Given | undefined {
  if (response === undefined) return undefined;
  if (response instanceof UnfitResponse) return { problem: response.problem };
  const { action, content } = (response ?? {}) as { action?: unknown; content?: unknown };
  if (!ACTIONS.includes(action)) return { problem: 'action must be accept, decline or cancel' };
  const known = action as QuestionAnswer['action'];
  if (known !== 'accept' || mode === 'url' || content === undefined || content === null) {
    return { answer: { action: known } };
  }
  if (typeof content !== 'object' || Array.isArray(content)) return { problem: 'content must be an object' };
  return { answer: { action: known, content: content as Record<string, unknown> } };
}

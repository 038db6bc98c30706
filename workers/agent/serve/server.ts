/** The SDK's server for one client (older protocol) or one request (newer protocol): tools, prompts and resources. Agent threads. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  inputRequired,
  LOG_LEVEL_META_KEY,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  SdkError,
  SdkErrorCode,
  type ClientCapabilities,
  type InputRequest,
  type LoggingLevel,
  type ProtocolEra,
  type Result,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { createHash, randomUUID } from 'node:crypto';
import { VERSION } from '../../../src/shared/version.js';
import { stableJson } from '../../../src/shared/definition-hash.js';
import { wordsOf } from './client-message.js';
import { exchangeOf, type CallState, type Served, type ServeParts } from './parts.js';
import { toProtocolError } from './protocol-errors.js';
import { NO_VALIDATOR } from '../schema/no-validator.js';
import { UnfitResponse, type CallLink, type ServedCall } from './served-call.js';
import type { Subscriptions } from './subscriptions.js';
import { callServedTool, findServedTool, listTools } from './tools.js';
import { complete, findPrompt, listPrompts, listResources, readResource, requestFor } from './upstreams.js';

type Params = Record<string, unknown>;
/** `of`: the client as this request's credential says. */
type Handler = (params: Params, ctx: ServerContext, of: Served) => Promise<Result>;

export interface ServerOptions {
  of: Served;
  era: ProtocolEra;
  /** Given in the older protocol only. */
  subscriptions?: Subscriptions;
}

/** Serves tools that are not registered with the SDK, which needs their schemas to check headers (`Mcp-Param-…`). */
class ServedTools extends McpServer {
  schemaOf: (name: string) => Params | undefined = () => undefined;

  override toolInputSchemaJson(name: string): Params | undefined {
    return this.schemaOf(name);
  }
}

export function createServer(parts: ServeParts, { of: client, era, subscriptions }: ServerOptions): McpServer {
  const { timeoutMs } = parts.agent.config.approvals;
  const mcp = new ServedTools(
    { name: 'fairlead', title: 'Fairlead', version: VERSION },
    {
      instructions:
        'Tools of a Fairlead session. They run in the session’s sandbox, or at servers that the operator has configured; some need the user’s approval.',
      jsonSchemaValidator: NO_VALIDATOR,
      requestState: { verify: (state, ctx) => parts.states.verify(state, ctx) },
    },
  );
  const { server } = mcp;
  server.onerror = (error) => parts.log.debug({ user: client.user, err: error.message }, 'mcp client');
  server.registerCapabilities({
    tools: { listChanged: true },
    prompts: {},
    resources: subscriptions ? { subscribe: true } : {},
    completions: {},
    logging: {},
  });
  mcp.schemaOf = (name) => parts.agent.toolSet(client).find(name)?.definition.inputSchema;

  const on = (method: string, handler: Handler): void => {
    // The SDK checks requests and results by the method's name at run time; its types need a literal name.
    const set = server.setRequestHandler.bind(server) as unknown as (
      method: string,
      handler: (request: { params?: Params }, ctx: ServerContext) => Promise<Result>,
    ) => void;
    set(method, async ({ params = {} }, ctx) => {
      try {
        return await handler(params, ctx, asAsked(client, ctx));
      } catch (error) {
        throw toProtocolError(error);
      }
    });
  };

  on('tools/list', async (_params, _ctx, of) => {
    await parts.agent.catalogue.ready(of);
    return { tools: listTools(parts, of) };
  });
  on('prompts/list', async (_params, ctx, of) => ({
    prompts: await parts.hold(of, () => listPrompts(parts, of, signalOf(ctx))),
  }));
  on('resources/list', async (_params, ctx, of) => ({
    resources: await parts.hold(of, () => listResources(parts, of, 'resources/list', signalOf(ctx))),
  }));
  on('resources/templates/list', async (_params, ctx, of) => ({
    resourceTemplates: await parts.hold(of, () => listResources(parts, of, 'resources/templates/list', signalOf(ctx))),
  }));
  on('completion/complete', async (params, ctx, of) =>
    parts.hold(of, () => complete(parts, of, withoutMeta(params) as Parameters<typeof complete>[2], signalOf(ctx))),
  );
  on('tools/call', async (params, ctx, of) => {
    const { name, arguments: args = {} } = params as { name: string; arguments?: Params };
    const tool = findServedTool(parts, of, name);
    parts.use(of);
    const result = await serve(params, ctx, (call) =>
      parts.hold(of, ({ allowed }) => callServedTool(parts, { of, tool, args, call, allowed })),
    );
    if (result['resultType'] === 'input_required') return result;
    const projected = server.projectCallToolResult(
      ownMeta(result) as Parameters<typeof server.projectCallToolResult>[0],
      tool.definition.outputSchema,
    );
    return projected;
  });
  on('prompts/get', async (params, ctx, of) =>
    serve(params, ctx, async (call) => {
      const { name, arguments: args } = params as { name: string; arguments?: Params };
      const prompt = await findPrompt(parts, of, name, call.signal);
      const asked = { name: prompt.name, ...(args ? { arguments: args } : {}) };
      const request = { of, server: prompt.server, call, method: 'prompts/get', params: asked } as const;
      return parts.hold(of, () => requestFor(parts, request));
    }),
  );
  on('resources/read', async (params, ctx, of) =>
    serve(params, ctx, (call) => parts.hold(of, () => readResource(parts, { of, uri: String(params['uri']), call }))),
  );
  if (subscriptions) {
    on('resources/subscribe', async ({ uri }, _ctx, of) => {
      await parts.hold(of, () => subscriptions.add(String(uri), of));
      return {};
    });
    on('resources/unsubscribe', async ({ uri }) => {
      await subscriptions.remove(String(uri));
      return {};
    });
  }
  return mcp;

  /** Runs one request of a call: its first one, or one that brings the client's answers. */
  async function serve(
    params: Params,
    ctx: ServerContext,
    work: (call: ServedCall) => Promise<object>,
  ): Promise<Result> {
    const link = linkOf(ctx);
    const digest = digestOf(ctx.mcpReq.method, params);
    const state = ctx.mcpReq.requestState<CallState>();
    let call: ServedCall | undefined;
    if (state) {
      call = parts.calls.findWaiting(client.session, state.call);
      if (!call || call.round !== state.round || state.digest !== digest) {
        throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'Invalid or expired requestState', {
          reason: 'invalid_request_state',
        });
      }
      call.resume(link, ctx.mcpReq.inputResponses ?? {});
    } else {
      const opened = parts.calls.open(client);
      opened.start(link, ctx.mcpReq.inputResponses, async () => ({ ...(await work(opened)) }));
      call = opened;
    }
    const outcome = await call.next();
    if ('result' in outcome) return ownMeta(outcome.result);
    const { asks: inputRequests, round } = outcome;
    return inputRequired({
      inputRequests,
      requestState: await parts.states.mint({ call: call.id, round, digest }, ctx),
    });
  }

  function linkOf(ctx: ServerContext): CallLink {
    const { mcpReq } = ctx;
    const signal = signalOf(ctx);
    const progressToken = mcpReq._meta?.progressToken;
    return {
      signal,
      capabilities: capabilitiesOf(ctx),
      logLevel: era === 'legacy' ? 'debug' : levelOf(ctx), // the SDK filters by the level that a client of the older protocol has set
      onProgress: (progress) => {
        if (progressToken === undefined) return;
        note(mcpReq.notify({ method: 'notifications/progress', params: { ...progress, progressToken } }));
      },
      onLog: ({ level, data, logger }) => note(mcpReq.log(level as LoggingLevel, data, logger)),
      ...(era === 'legacy' ? { push: (request: InputRequest, asked: AbortSignal) => push(ctx, request, asked) } : {}),
    };
  }

  /** A notification that cannot be sent does not fail the call. */
  function note(sent: Promise<void>): void {
    sent.catch((error: Error) =>
      parts.log.debug({ err: error.message }, 'a notification to an mcp client was not sent'),
    );
  }

  async function push(ctx: ServerContext, request: InputRequest, signal: AbortSignal): Promise<unknown> {
    const { method, params } = request as { method: 'elicitation/create'; params?: Params };
    // The older protocol wants an id for an address to open.
    const named = params?.['mode'] === 'url' ? { ...params, elicitationId: randomUUID() } : params;
    try {
      return await ctx.mcpReq.send({ method, ...(named ? { params: named } : {}) }, { signal, timeout: timeoutMs });
    } catch (error) {
      if (error instanceof SdkError && error.code === SdkErrorCode.InvalidResult)
        return new UnfitResponse(unfitIn(error.message));
      throw error;
    }
  }

  function capabilitiesOf(ctx: ServerContext): ClientCapabilities {
    const declared = envelopeOf(ctx)[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined;
    if (era !== 'legacy') return declared ?? {};
    // In the older protocol questions come on the answer's stream, so a client that takes none never sees them.
    if (!exchangeOf(ctx.http?.authInfo).takesStream) return {};
    // The client declares its capabilities once; the SDK marks that getter as deprecated.
    return server.getClientCapabilities() ?? {};
  }
}

/** The first issue in the SDK's text, which ends in all of them as JSON. */
function unfitIn(text: string): string {
  const at = text.search(/\[\s*\{/);
  try {
    return at < 0 ? text : wordsOf(JSON.parse(text.slice(at)) as Parameters<typeof wordsOf>[0]);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** A client of the older protocol is one for many requests, of which each has its own credential. */
function asAsked({ who: _who, ...client }: Served, ctx: ServerContext): Served {
  const { who } = exchangeOf(ctx.http?.authInfo);
  return { ...client, ...(who && { who }) };
}

/** Aborts when the client cancels or disconnects. */
function signalOf(ctx: ServerContext): AbortSignal {
  return AbortSignal.any([ctx.mcpReq.signal, exchangeOf(ctx.http?.authInfo).signal]);
}

function levelOf(ctx: ServerContext): LoggingLevel | undefined {
  return envelopeOf(ctx)[LOG_LEVEL_META_KEY] as LoggingLevel | undefined;
}

/** The newer protocol's metadata of a request, which the SDK has checked. */
function envelopeOf(ctx: ServerContext): Params {
  return ctx.mcpReq.envelope ?? {};
}

function digestOf(method: string, params: Params): string {
  return createHash('sha256')
    .update(stableJson([method, withoutMeta(params)]))
    .digest('base64url');
}

function withoutMeta({ _meta, ...params }: Params): Params {
  return params;
}

/** Drops the protocol's own metadata of the server behind: this server's results carry their own. */
function ownMeta(result: Params): Params {
  const { _meta, ...rest } = result;
  if (typeof _meta !== 'object' || _meta === null) return rest;
  const kept = Object.entries(_meta).filter(([key]) => !key.startsWith('io.modelcontextprotocol/'));
  return kept.length > 0 ? { ...rest, _meta: Object.fromEntries(kept) } : rest;
}

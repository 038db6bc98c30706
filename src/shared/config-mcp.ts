/** The MCP part of the configuration: `mcpServers` in the ecosystem's own shape, and `mcp` for all of them. Main thread and command line. */
import { z } from 'zod';
import { nameGlob } from './name-globs.js';
import { glob, ms, positive, positiveMs } from './config-fields.js';
import { mcpPinsSchema } from './config-pins.js';
import { groupNames } from './config-policy.js';

const strings = z.record(z.string(), z.string());
/** Such files are often checked in, so secrets in headers and environments come from `${NAME}`. */
const env = strings.default({});

/** Keys that every kind of server has. */
const common = {
  groups: groupNames
    .optional()
    .describe('Only members of one of these groups see the server, its tools and its resources; absent = everybody'),
  tools: z
    .strictObject({
      allow: z.array(glob).default(['*']).describe('Tools of this server that the model may know, by glob'),
      deny: z.array(glob).default([]).describe('Tools that the model may not know, whatever `allow` says'),
    })
    .prefault({}),
  sampling: z
    .strictObject({
      maxTokens: positive.default(1024).describe('Longest answer that the server may ask of the model'),
      maxPerCall: positive.default(5).describe('Most requests to the model in one tool call'),
    })
    .optional()
    .describe('Lets the server use the session’s model, each time with the user’s yes; absent = not at all'),
  elicitation: z
    .boolean()
    .optional()
    .describe('Lets the server ask the user (forms, addresses); absent = yes, but not for a server in a sandbox'),
  roots: z
    .boolean()
    .optional()
    .describe('Tells the server which folders it may work in; absent = yes, but not for a server in a sandbox'),
  trustHints: z
    .boolean()
    .default(false)
    .describe('Lets rules with `readOnly` believe what this server says of its tools'),
  timeoutMs: positiveMs.optional().describe('Longest tool call; absent = sandbox.toolTimeoutMs'),
  era: z
    .enum(['auto', 'legacy', 'modern'])
    .default('auto')
    .describe(
      'Generation of the protocol: auto = what the server shows that it speaks; legacy = 2025-11-25 and before',
    ),
};

const scope = z
  .enum(['session', 'shared'])
  .default('session')
  .describe(
    'session: each session has its own; shared: all sessions of an agent thread share one, and see each other’s data',
  );

const imageServer = z.strictObject({
  image: z.string().min(1).describe('Docker image of an MCP server that speaks stdio; it runs in a sandbox'),
  scope,
  env: env.describe('Environment inside the sandbox, readable there: no place for secrets'),
  ...common,
});

const commandServer = z.strictObject({
  type: z.literal('stdio').optional(),
  command: z.string().min(1).describe('Program of an MCP server that speaks stdio'),
  args: z.array(z.string()).default([]),
  env: env.describe('Environment of the program; of Fairlead’s own it gets PATH, HOME and the like alone'),
  cwd: z.string().min(1).optional().describe('Folder it runs in; absent = one of its own'),
  sandbox: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Name of the `image` server in whose sandbox it runs; absent = on the host, which needs allowHostCommands',
    ),
  scope,
  ...common,
});

const auth = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('none') }),
  z.strictObject({
    type: z.literal('oauth'),
    clientId: z.string().min(1).optional().describe('Absent = client id metadata document, or dynamic registration'),
    clientSecret: z.string().min(1).optional(),
    scopes: z.array(z.string().min(1)).optional().describe('Absent = the scopes that the server asks for'),
    issuer: z.url().optional().describe('The only authorization server that may see the client id'),
  }),
  z.strictObject({
    type: z.literal('client_credentials'),
    clientId: z.string().min(1),
    clientSecret: z.string().min(1).optional(),
    privateKey: z.string().min(1).optional().describe('PEM; signs a JWT that replaces the secret'),
    algorithm: z.string().min(1).default('ES256').describe('Signature algorithm of privateKey'),
    scopes: z.array(z.string().min(1)).optional(),
    issuer: z.url().optional(),
  }),
]);

const urlServer = z.strictObject({
  type: z
    .enum(['http', 'sse'])
    .optional()
    .describe('Absent = Streamable HTTP, and SSE for servers that know only that'),
  url: z.url({ protocol: /^https?$/ }),
  headers: strings.default({}).describe('Sent with each request to this server alone; secrets as ${NAME}'),
  auth: auth.optional().describe('Absent = none with an Authorization header, else OAuth when the server asks for it'),
  ...common,
});

export const mcpServerSchema = z.union([imageServer, commandServer, urlServer]);

/** Settings for all servers. */
export const mcpSchema = z
  .strictObject({
    toolNames: z
      .enum(['auto', 'always', 'never'])
      .default('auto')
      .describe(
        'When a tool is named server__tool. auto = where names collide; always; never = the first of a name wins',
      ),
    toolTokens: z
      .number()
      .int()
      .min(0)
      .default(25_000)
      .describe(
        'Most tokens of tool definitions that the model is sent; tools of the largest servers are found by a search tool; 0 = no limit',
      ),
    pins: mcpPinsSchema,
    requestTimeoutMs: positiveMs.default(30_000).describe('Longest request that is no tool call'),
    silenceMs: ms
      .default(30_000)
      .describe(
        'A stdio server that sends nothing for so long during a request, and answers no ping, is ended; its sandbox is saved and replaced; 0 = never',
      ),
    idleMs: positiveMs.default(120_000).describe('A connection that is unused for so long is closed'),
    maxConnections: positive.default(50).describe('HTTP connections to one server, of all threads together'),
    allowLoopback: z.boolean().default(false).describe('Lets `url` be http and on this machine, for trying out'),
    allowHosts: z
      .array(z.string().min(1))
      .default([])
      .describe('Host names that may have a private address; all others must have a public one'),
    publicUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'How browsers reach this server, for the way back from an authorization server; absent = its own address',
      ),
  })
  .prefault({});

export type McpServerConfig = z.infer<typeof mcpServerSchema>;
export type ImageServerConfig = z.infer<typeof imageServer>;
export type CommandServerConfig = z.infer<typeof commandServer>;
export type UrlServerConfig = z.infer<typeof urlServer>;

export type McpServerConfigs = Readonly<Record<string, McpServerConfig>>;

export function isImageServer(server: McpServerConfig): server is ImageServerConfig {
  return 'image' in server;
}

export function isCommandServer(server: McpServerConfig): server is CommandServerConfig {
  return 'command' in server;
}

export function isUrlServer(server: McpServerConfig): server is UrlServerConfig {
  return 'url' in server;
}

/** The servers of one kind with their names, in the configuration's order. */
export function serversOf<T extends McpServerConfig>(
  servers: McpServerConfigs,
  isKind: (server: McpServerConfig) => server is T,
): [string, T][] {
  return Object.entries(servers).flatMap(([name, server]): [string, T][] => (isKind(server) ? [[name, server]] : []));
}

/** Whether the agent's own code runs beside the server, and so can speak in its name. */
export function isInSandbox(server: object): boolean {
  return 'image' in server || ('sandbox' in server && server.sandbox !== undefined);
}

/** Servers with equal keys share a pool of sandboxes: same image, same environment, same client capabilities and protocol. */
export function poolKey({ image, env, sampling, elicitation, roots, era }: PooledConfig): string {
  const asks = [sampling !== undefined, elicitation === true, roots === true];
  return JSON.stringify([image, Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1)), ...asks, era]);
}

type PooledConfig = Pick<ImageServerConfig, 'image' | 'env' | 'sampling' | 'elicitation' | 'roots' | 'era'>;

/** Rules that can never match as they are meant, since no server that they name is believed. */
export function* hintWarnings(
  rules: readonly { server: string; readOnly?: boolean | undefined }[],
  servers: McpServerConfigs,
): Iterable<string> {
  const trusted = Object.entries(servers).flatMap(([name, { trustHints }]) => (trustHints ? [name] : []));
  for (const [index, { server, readOnly }] of rules.entries()) {
    if (readOnly === undefined || trusted.some(nameGlob(server))) continue;
    yield `approvals.rules.${index} has readOnly, but believes no server: set trustHints of the mcpServers whose word on their tools counts`;
  }
}

/** Problems between several fields. */
export function* mcpProblems(
  servers: McpServerConfigs,
  {
    allowHostCommands,
    allowLoopback,
    loopback,
  }: { allowHostCommands: boolean; allowLoopback: boolean; loopback: ReadonlySet<string> },
): Iterable<{ path: string; message: string }> {
  for (const [name, server] of serversOf(servers, isCommandServer)) {
    const path = `mcpServers.${name}`;
    const inside = server.sandbox === undefined ? undefined : servers[server.sandbox];
    if (server.sandbox === undefined && !allowHostCommands) {
      yield {
        path: `${path}.command`,
        message:
          'would run on the host: set allowHostCommands if you trust it, or name an `image` server as its sandbox',
      };
    } else if (server.sandbox !== undefined && !(inside && isImageServer(inside))) {
      yield { path: `${path}.sandbox`, message: `${server.sandbox} is not an \`image\` server of mcpServers` };
    } else if (inside && isImageServer(inside) && inside.scope !== server.scope) {
      yield { path: `${path}.scope`, message: `is ${server.scope}, but its sandbox's scope is ${inside.scope}` };
    }
  }
  for (const [name, { url, auth, type, era }] of serversOf(servers, isUrlServer)) {
    const path = `mcpServers.${name}`;
    if (type === 'sse' && era === 'modern') {
      yield { path: `${path}.era`, message: 'is modern, but sse is a transport of the legacy protocol' };
    }
    const { protocol, hostname, username, password } = new URL(url);
    if (protocol === 'http:' && !(allowLoopback && loopback.has(hostname.replaceAll(/^\[|\]$/g, '')))) {
      yield {
        path: `${path}.url`,
        message: 'must be https; http is allowed for loopback only, with mcp.allowLoopback',
      };
    }
    if (username !== '' || password !== '') {
      yield { path: `${path}.url`, message: 'must not hold credentials: use headers or auth' };
    }
    if (auth?.type === 'client_credentials' && (auth.clientSecret === undefined) === (auth.privateKey === undefined)) {
      yield { path: `${path}.auth`, message: 'needs either clientSecret or privateKey' };
    }
  }
}

/**
 * Fairlead's host code under the protocol's own client scenarios: what an agent thread does with a `url` server, made of the
 * same modules, for one server and one person who says yes to everything. Run by the suite, with the server's URL as argument.
 */
import pino from 'pino';
import { parseConfig } from '../../src/shared/config.js';
import type { ToolDefinition } from '../../src/shared/tool-definition.js';
import { listAll, listServerTools } from '../../workers/agent/mcp/catalogue/list-all.js';
import { Logins } from '../../workers/agent/mcp/oauth/logins.js';
import { OAuthSource } from '../../workers/agent/mcp/oauth/oauth-source.js';
import { openSecrets } from '../../workers/agent/mcp/oauth/secrets.js';
import { SafeHttp } from '../../workers/agent/http/http.js';
import { Remotes } from '../../workers/agent/mcp/remote/remotes.js';
import type { ServerAsks, ServerConnection } from '../../workers/agent/mcp/host/server-connection.js';

const USER = 'person';
const CALLER = { session: 'conformance', user: USER };
/** Long: on a busy machine forty of these start at once. */
const TIMEOUT_MS = 80_000;
/** The suite knows this document's address, and fetches nothing from it. */
const IDENTITY = {
  redirectUrl: 'https://conformance-test.local/v1/mcp/oauth/callback',
  loginUrl: 'https://conformance-test.local/v1/mcp/oauth/login/',
  clientMetadataUrl: 'https://conformance-test.local/client-metadata.json',
};

interface Context {
  client_id?: string;
  client_secret?: string;
  private_key_pem?: string;
  signing_algorithm?: string;
  issuer?: string;
  toolCalls?: { name: string; arguments: Record<string, unknown> }[];
}

const url = process.argv[2] ?? '';
const scenario = process.env['MCP_CONFORMANCE_SCENARIO'] ?? '';
const context = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as Context;
const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' }, pino.destination(2));

const config = parseConfig(
  {
    mcp: { allowLoopback: true, requestTimeoutMs: TIMEOUT_MS },
    mcpServers: { server: { url, ...authOf(context) } },
  },
  {},
);
const { allowLoopback, allowHosts } = config.mcp;
const http = new SafeHttp({
  name: 'the authorization server',
  rules: { allowLoopback, allowHosts },
  maxConnections: 4,
  timeoutMs: TIMEOUT_MS,
});
const fetchFor = () => http.fetch;
const unused = () => Promise.reject(new Error('nothing is stored without a key'));
const store = { readSecret: unused, writeSecret: unused, deleteSecret: unused };
const logins = new Logins({ config, secrets: openSecrets(store, []), fetchFor, log, threads: 1 });
const auth = new OAuthSource({
  config,
  fetchFor,
  host: {
    token: (request) => logins.token(request),
    login: (request) => logins.login({ ...request, identity: IDENTITY }),
    loginEnd: (request) => logins.loginEnd(request),
  },
});
const remotes = new Remotes(config, log, { auth });

/** Accepts everything; the authorization server redirects back at once. */
const asks: ServerAsks = {
  async elicit(question) {
    if (question.mode === 'form') return { action: 'accept', content: requiredOf(question.schema ?? {}) };
    const begun = await logins.begin((question.url ?? '').slice(IDENTITY.loginUrl.length));
    if (!begun) throw new Error('the login is not known');
    const answer = await fetch(begun.url, { redirect: 'manual' });
    const back = new URL(answer.headers.get('location') ?? 'about:blank');
    const given = Object.fromEntries(back.searchParams) as {
      state: string;
      code?: string;
      iss?: string;
      error?: string;
    };
    await logins.callback({ ...given, browser: begun.browser });
    return { action: 'accept' };
  },
};

try {
  await play(await remotes.get(CALLER, 'server'));
} finally {
  await remotes.disconnect();
  logins.close();
  await http.close();
}

async function play(connection: ServerConnection): Promise<void> {
  const options = { signal: AbortSignal.timeout(TIMEOUT_MS), timeoutMs: TIMEOUT_MS, asks };
  const { tools } = await listServerTools(connection, options);
  const call = (definition: ToolDefinition | undefined, name: string, args: Record<string, unknown>) =>
    connection.callTool({ ...options, name, args, ...(definition ? { definition } : {}), onOutput: () => undefined });
  const calls = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: argsFor(tool, tools) }));
  // All at once, as a model's answer may want them.
  await Promise.all(
    calls.map((each) =>
      call(
        tools.find(({ name }) => name === each.name),
        each.name,
        each.arguments,
      ),
    ),
  );
  // A second call: what has changed at the server meanwhile is met here.
  if (scenario === 'auth/authorization-server-migration')
    await Promise.all(calls.map((each) => call(undefined, each.name, {})));
  for (const { name } of (await listAll(connection, 'prompts/list', options)).items) {
    await connection.request({ ...options, method: 'prompts/get', params: { name, arguments: {} } });
  }
  for (const { uri } of (await listAll(connection, 'resources/list', options)).items) {
    await connection.request({ ...options, method: 'resources/read', params: { uri } });
  }
}

function authOf(given: Context): Record<string, unknown> | undefined {
  if (given.client_id === undefined) return undefined;
  const issuer = given.issuer === undefined ? {} : { issuer: given.issuer };
  const secret = given.client_secret === undefined ? {} : { clientSecret: given.client_secret };
  const client = { clientId: given.client_id, ...secret, ...issuer };
  if (!scenario.startsWith('auth/client-credentials')) return { auth: { type: 'oauth', ...client } };
  const { private_key_pem: privateKey, signing_algorithm: algorithm = 'ES256' } = given;
  return {
    auth: { type: 'client_credentials', ...client, ...(privateKey === undefined ? {} : { privateKey, algorithm }) },
  };
}

/** What the schema requires, by its types; the echo of a schema gets the first tool's, as we understood it. */
function argsFor({ inputSchema }: ToolDefinition, tools: readonly ToolDefinition[]): Record<string, unknown> {
  const args = requiredOf(inputSchema);
  return 'schema' in args ? { schema: tools[0]?.inputSchema } : args;
}

function requiredOf(schema: Record<string, unknown>): Record<string, unknown> {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, { type?: string; default?: unknown }>;
    required?: string[];
  };
  const wanted = required.filter((name) => properties[name]?.default === undefined);
  return Object.fromEntries(wanted.map((name) => [name, valueOf(properties[name]?.type)]));
}

function valueOf(type: string | undefined): unknown {
  switch (type) {
    case 'number':
    case 'integer':
      return 2;
    case 'boolean':
      return true;
    case 'object':
      return {};
    case 'array':
      return [];
    default:
      return 'value';
  }
}

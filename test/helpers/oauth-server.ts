/**
 * An authorization server and the MCP server that it protects, real HTTP on port 0: PKCE, registration, rotating refresh
 * tokens that end the whole login when one is used twice, revocation, `iss`, resource indicators, scopes. Runs in tests.
 */
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Grant {
  person: string;
  client: string;
  scope: string;
  resource: string;
  /** All that came of one login: it ends together. */
  login: string;
}

interface Code extends Grant {
  challenge: string;
  redirectUri: string;
}

type Fields = Record<string, unknown>;
type Bent = 'resource' | 'metadata' | 'openid' | 'registration' | 'token';

type AccessToken = Grant & { endsAt: number };

export async function startOAuthServer(): Promise<OAuthServer> {
  const server = new OAuthServer();
  await server.start();
  return server;
}

export class OAuthServer {
  /** Who logs in next, as no browser has a form to fill in. */
  person = 'Alice';
  /** Of access tokens, seconds. */
  life = 3_600;
  /** Whom the tokens are for; '' = whom the client asks for. */
  audience = '';
  /** The resource in the MCP server's metadata; '' = its own url. */
  resource = '';
  /** Says no at the authorization endpoint. */
  denies = false;
  /** Shows a page in place of an answer. */
  holdsBack = false;
  /** In place of its own, in the answer to an authorization request. */
  iss: string | undefined;
  /** The status of the next answers of the token endpoint; 0 = as it should be. */
  tokenStatus = 0;
  /** Waited for before the token endpoint answers. */
  gate: Promise<unknown> = Promise.resolve();
  /** `grant_type` of each token request, in the order they came. */
  readonly grants: string[] = [];
  /** What was asked for at the authorization endpoint. */
  readonly authorizations: URLSearchParams[] = [];
  /** Every secret that was given to anybody. */
  readonly secrets: string[] = [];
  /** Changes what it answers there; a text is sent as a form. */
  bend: Partial<Record<Bent, (fields: Fields) => Fields | string>> = {};
  registrations = 0;
  /** The newest request for a registration. */
  registered: Fields | undefined;
  /** Its clients have no secret, and say at the token endpoint only who they are. */
  isPublic = false;
  /** Requests to the MCP server without a token that it takes. */
  refused = 0;
  readonly #http: Server;
  readonly #clients = new Map<string, { secret: string | undefined; redirectUris: string[] }>();
  readonly #codes = new Map<string, Code>();
  readonly #access = new Map<string, AccessToken>();
  /** Those that were used stay: whoever comes with one is a thief. */
  readonly #refresh = new Map<string, Grant & { used: boolean }>();
  readonly #who = new AsyncLocalStorage<Grant>();

  constructor() {
    const handle = toNodeHandler(createMcpHandler(() => this.#makeMcpServer()));
    this.#http = createServer((request, response) => {
      this.#serve(request, response, handle).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Of the MCP server. */
  get url(): string {
    return `${this.issuer}/mcp`;
  }

  get #named(): string {
    return this.resource || this.url;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  /** As an administrator would: all tokens of all people, or the access tokens alone. */
  revokeAll({ refreshTokens = true } = {}): void {
    this.#access.clear();
    if (refreshTokens) this.#refresh.clear();
  }

  /** Tokens that are good for something. */
  get live(): number {
    return this.#access.size + [...this.#refresh.values()].filter(({ used }) => !used).length;
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    handle: ReturnType<typeof toNodeHandler>,
  ): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    switch (url.pathname) {
      case '/.well-known/oauth-protected-resource/mcp':
        return this.#tell(response, 'resource', {
          resource: this.#named,
          authorization_servers: [this.issuer],
          scopes_supported: ['read'],
        });
      case '/.well-known/oauth-authorization-server':
        return this.#tell(response, 'metadata', this.#metadata());
      case '/.well-known/openid-configuration':
        if (this.bend.openid) return this.#tell(response, 'openid', this.#metadata());
        return json(response, 404, { error: 'not_found' });
      case '/register':
        this.registered = JSON.parse(await bodyOf(request)) as Fields;
        return this.#register(response, this.registered as { redirect_uris: string[] });
      case '/authorize':
        return this.#authorize(response, url.searchParams);
      case '/token':
        return this.#token(request, response, new URLSearchParams(await bodyOf(request)));
      case '/revoke':
        return this.#revoke(response, new URLSearchParams(await bodyOf(request)).get('token') ?? '');
      case '/mcp':
        return this.#mcp(request, response, handle);
      default:
        return json(response, 404, { error: 'not_found' });
    }
  }

  #tell(response: ServerResponse, what: Bent, fields: Fields): void {
    const told = this.bend[what]?.(fields) ?? fields;
    if (typeof told !== 'string') return json(response, 200, told);
    response.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' }).end(told);
  }

  #metadata(): Fields {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      registration_endpoint: `${this.issuer}/register`,
      revocation_endpoint: `${this.issuer}/revoke`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
      authorization_response_iss_parameter_supported: true,
    };
  }

  #register(response: ServerResponse, { redirect_uris: redirectUris }: { redirect_uris: string[] }): void {
    this.registrations++;
    const id = `client-${this.registrations}`;
    const secret = this.isPublic ? undefined : this.#secret();
    this.#clients.set(id, { secret, redirectUris });
    const client = { client_id: id, client_secret: secret, redirect_uris: redirectUris, client_name: 'Fairlead' };
    this.#tell(response, 'registration', client);
  }

  #authorize(response: ServerResponse, asked: URLSearchParams): void {
    this.authorizations.push(asked);
    if (this.holdsBack) return void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Who are you?</p>');
    const back = asked.get('redirect_uri') ?? '';
    const client = asked.get('client_id') ?? '';
    const challenge = asked.get('code_challenge') ?? '';
    const known = this.#clients.get(client)?.redirectUris.includes(back);
    if (!known || challenge === '' || asked.get('resource') !== this.#named)
      return json(response, 400, { error: 'invalid_request' });
    const to = new URL(back);
    to.searchParams.set('state', asked.get('state') ?? '');
    to.searchParams.set('iss', this.iss ?? this.issuer);
    if (this.denies) {
      to.searchParams.set('error', 'access_denied');
    } else {
      const code = this.#secret();
      const scope = asked.get('scope') ?? '';
      const resource = this.audience || this.#named;
      this.#codes.set(code, {
        person: this.person,
        client,
        scope,
        resource,
        challenge,
        redirectUri: back,
        login: code,
      });
      to.searchParams.set('code', code);
    }
    response.writeHead(302, { location: to.href }).end();
  }

  async #token(request: IncomingMessage, response: ServerResponse, form: URLSearchParams): Promise<void> {
    const grant = form.get('grant_type') ?? '';
    this.grants.push(grant);
    await this.gate;
    if (this.tokenStatus !== 0) return json(response, this.tokenStatus, { error: 'server_error' });
    const [named = '', secret] = atob((request.headers.authorization ?? '').replace('Basic ', '')).split(':');
    const id = this.isPublic ? (form.get('client_id') ?? '') : named;
    const known = this.#clients.get(id);
    if (!known || known.secret !== secret) return json(response, 401, { error: 'invalid_client' });
    const given = grant === 'refresh_token' ? this.#useRefresh(form) : this.#useCode(form);
    if (given?.client !== id) return json(response, 400, { error: 'invalid_grant' });
    const access = this.#secret();
    const refresh = this.#secret();
    const { person, client, scope, resource, login } = given;
    this.#access.set(access, { person, client, scope, resource, login, endsAt: Date.now() + this.life * 1_000 });
    this.#refresh.set(refresh, { person, client, scope, resource, login, used: false });
    this.#tell(response, 'token', {
      access_token: access,
      token_type: 'Bearer',
      expires_in: this.life,
      refresh_token: refresh,
      scope,
    });
  }

  #useCode(form: URLSearchParams): Grant | undefined {
    const code = form.get('code') ?? '';
    const found = this.#codes.get(code);
    this.#codes.delete(code);
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const fits = found?.challenge === challenge && found.redirectUri === form.get('redirect_uri');
    return fits && form.get('resource') === this.#named ? found : undefined;
  }

  #useRefresh(form: URLSearchParams): Grant | undefined {
    const found = this.#refresh.get(form.get('refresh_token') ?? '');
    if (!found) return undefined;
    if (found.used) {
      this.#endLogin(found.login);
      return undefined;
    }
    found.used = true;
    return found;
  }

  #revoke(response: ServerResponse, token: string): void {
    const found = this.#access.get(token) ?? this.#refresh.get(token);
    if (found) this.#endLogin(found.login);
    response.writeHead(200).end();
  }

  #endLogin(login: string): void {
    for (const tokens of [this.#access, this.#refresh]) {
      for (const [token, grant] of tokens) if (grant.login === login) tokens.delete(token);
    }
  }

  async #mcp(
    request: IncomingMessage,
    response: ServerResponse,
    handle: ReturnType<typeof toNodeHandler>,
  ): Promise<void> {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const grant = this.#access.get(token);
    const metadata = `resource_metadata="${this.issuer}/.well-known/oauth-protected-resource/mcp"`;
    if (!grant || grant.endsAt < Date.now() || grant.resource !== this.#named) {
      this.refused++;
      const challenge = `Bearer ${token === '' ? '' : 'error="invalid_token", '}scope="read", ${metadata}`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return;
    }
    const text = await bodyOf(request);
    const body = (text === '' ? undefined : JSON.parse(text)) as
      { method?: string; params?: { name?: string } } | undefined;
    const isAdmin = body?.method === 'tools/call' && body.params?.name === 'administer';
    if (isAdmin && !grant.scope.split(' ').includes('admin')) {
      const challenge = `Bearer error="insufficient_scope", scope="admin", ${metadata}`;
      response.writeHead(403, { 'www-authenticate': challenge }).end();
      return;
    }
    await this.#who.run(grant, () => handle(request as Parameters<typeof handle>[0], response, body));
  }

  #makeMcpServer(): McpServer {
    const server = new McpServer({ name: 'protected', version: '1' }, { capabilities: { tools: {} } });
    for (const name of ['whoami', 'administer']) {
      const description = name === 'whoami' ? 'Says as whom you are logged in' : 'Needs the scope admin';
      server.registerTool(name, { description, annotations: { readOnlyHint: true } }, async () => ({
        content: [{ type: 'text', text: `${name}: ${this.#who.getStore()?.person ?? 'nobody'}` }],
      }));
    }
    return server;
  }

  #secret(): string {
    const secret = randomBytes(24).toString('base64url');
    this.secrets.push(secret);
    return secret;
  }
}

/** What a person's browser does with an address: it logs in and comes back with this. */
export async function logIn(url: string): Promise<URL> {
  const answer = await fetch(url, { redirect: 'manual' });
  const location = answer.headers.get('location');
  if (location === null) throw new Error(`the authorization server answers ${answer.status}: ${await answer.text()}`);
  return new URL(location);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

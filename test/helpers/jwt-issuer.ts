/** A real OpenID Connect issuer (oidc-provider) whose keys change and which can be away. Runs in tests. */
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { Provider, type Client, type JWK } from 'oidc-provider';

export const AUDIENCE = 'https://fairlead.test/api';

interface SigningKey {
  kid: string;
  alg: string;
  privateKey: KeyObject;
}

export class JwtIssuer {
  readonly url: string;
  /** The path of each request, also of those that came while it was away. */
  readonly asked: string[] = [];
  /** It answers 503. */
  away = false;
  /** Its answers wait for this. */
  held: Promise<void> = Promise.resolve();
  key: SigningKey;
  readonly #server: Server;
  /** What the tokens say beside the user, by user. */
  readonly #claims = new Map<string, Record<string, unknown>>();
  #provider: Provider;

  static async start(alg: 'RS256' | 'ES256' = 'RS256'): Promise<JwtIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new JwtIssuer(server, alg);
  }

  private constructor(server: Server, alg: 'RS256' | 'ES256') {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.key = newKey(alg);
    this.#provider = this.#provide();
    server.on('request', (request, response) => {
      this.asked.push(request.url ?? '');
      void this.#answer(request, response);
    });
  }

  /** How often its keys were read. */
  get reads(): number {
    return this.asked.filter((path) => path === '/jwks').length;
  }

  /** From now on it has another key, and the old one no more. */
  rotate(): void {
    this.key = newKey(this.key.alg);
    this.#provider = this.#provide();
  }

  /** An access token as the issuer makes it, for this user. */
  async issue(user: string, { claims = {}, audience = AUDIENCE, seconds = 600 } = {}): Promise<string> {
    const { AccessToken, ResourceServer } = this.#provider;
    const token = new AccessToken({
      accountId: user,
      client: (await this.#provider.Client.find('an-app')) as Client,
      grantId: randomBytes(8).toString('hex'),
      scope: 'api',
      gty: 'authorization_code',
      expiresIn: seconds,
    });
    this.#claims.set(user, claims);
    token.resourceServer = new ResourceServer(audience, {
      scope: 'api',
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: this.key.alg as 'RS256' } },
    });
    return token.save();
  }

  /** A JWT signed with the issuer's own key, with whatever claims and header. Undefined leaves out. */
  sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key?: KeyObject): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const payload = { iss: this.url, aud: AUDIENCE, sub: 'ada', iat: now, exp: now + 600, ...claims };
    const jwt = new SignJWT(defined(payload));
    jwt.setProtectedHeader(defined({ alg: this.key.alg, kid: this.key.kid, ...header }) as { alg: string });
    return jwt.sign(key ?? this.key.privateKey);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.held;
    if (this.away) response.writeHead(503).end();
    else await this.#provider.callback()(request, response);
  }

  #provide(): Provider {
    const { kid, alg, privateKey } = this.key;
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } as JWK;
    return new Provider(this.url, {
      jwks: { keys: [jwk] },
      cookies: { keys: [randomBytes(16).toString('hex')] },
      clients: [
        {
          client_id: 'an-app',
          redirect_uris: [],
          response_types: [],
          grant_types: [],
          token_endpoint_auth_method: 'none',
        },
      ],
      features: { devInteractions: { enabled: false } },
      extraTokenClaims: (_ctx, token) => this.#claims.get((token as { accountId?: string }).accountId ?? ''),
    });
  }
}

function newKey(alg: string): SigningKey {
  const { privateKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2_048 });
  return { kid: randomBytes(8).toString('hex'), alg, privateKey };
}

function defined(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
}

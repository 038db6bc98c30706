/** A real OpenID Connect issuer (oidc-provider) on port 0, and a browser without pictures that logs in there. Runs in tests. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider, type Configuration, type JWK } from 'oidc-provider';

export const CLIENT_ID = 'fairlead';
export const CLIENT_SECRET = 'a secret of the tests';

export interface IssuerOptions {
  /** Claims by the name that somebody logs in with; who is not listed has none but `sub`. */
  people?: Record<string, Record<string, unknown>>;
  /** Claims are at the userinfo endpoint alone, as the specification has it. */
  userinfoOnly?: boolean;
  /** Of the signing key. */
  algorithm?: 'RS256' | 'ES256';
}

export async function startIssuer(options: IssuerOptions = {}): Promise<Issuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return new Issuer(server, options);
}

export class Issuer {
  readonly url: string;
  readonly key: JWK;
  readonly provider: Provider;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;

  constructor(server: Server, { people = {}, userinfoOnly = false, algorithm = 'RS256' }: IssuerOptions) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.key = { ...signingKey(algorithm), alg: algorithm, use: 'sig', kid: randomBytes(8).toString('hex') };
    const claims = new Set(Object.values(people).flatMap((each) => Object.keys(each)));
    const configuration: Configuration = {
      jwks: { keys: [this.key] },
      cookies: { keys: [randomBytes(16).toString('hex')] },
      claims: { openid: ['sub', ...claims] },
      conformIdTokenClaims: userinfoOnly,
      findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
      // Its own one sends nothing to this machine's addresses.
      fetch: (url, { dispatcher: _own, ...init } = {}) => fetch(url, init),
      // Nobody is asked whether Fairlead may know who they are.
      async loadExistingGrant(ctx) {
        const { client, session, provider } = ctx.oidc;
        const grant = new provider.Grant({ clientId: client!.clientId, accountId: session!.accountId! });
        grant.addOIDCScope('openid profile email');
        await grant.save();
        return grant;
      },
      features: {
        devInteractions: { enabled: true },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: { enabled: true },
        registration: { enabled: true, idFactory: () => CLIENT_ID, secretFactory: () => CLIENT_SECRET },
      },
    };
    this.provider = new Provider(this.url, configuration);
    const callback = this.provider.callback();
    server.on('request', (req, res) => {
      this.asked.push(req.url ?? '');
      void callback(req, res);
    });
  }

  /** The client of a Fairlead at this address, as an administrator of the issuer would enter it. */
  async register(base: string, more: Record<string, unknown> = {}): Promise<void> {
    const client = {
      redirect_uris: [`${base}/auth/callback`],
      backchannel_logout_uri: `${base}/auth/backchannel-logout`,
      backchannel_logout_session_required: true,
      id_token_signed_response_alg: this.key.alg,
      ...more,
    };
    const answer = await fetch(`${this.url}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(client),
    });
    if (answer.status !== 201) throw new Error(`the issuer does not take the client: ${await answer.text()}`);
    await answer.text();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function signingKey(algorithm: 'RS256' | 'ES256'): object {
  const { privateKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'jwk' });
}

export interface Opened {
  status: number;
  url: URL;
  html: string;
  headers: Headers;
}

/** Keeps cookies by host and port, follows what leads on, and fills in the issuer's form. */
export class FormBrowser {
  readonly #cookies = new Map<string, Map<string, string>>();

  cookies(url: string): Map<string, string> {
    const { host } = new URL(url);
    const found = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, found);
    return found;
  }

  /** One request, as a page of that host would make it. */
  async send(url: URL | string, init: RequestInit = {}): Promise<Opened> {
    const at = new URL(url);
    const jar = this.cookies(at.href);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), ...(cookie !== '' && { cookie }) },
      redirect: 'manual',
    });
    for (const given of answer.headers.getSetCookie()) {
      const [pair = ''] = given.split(';');
      const name = pair.slice(0, pair.indexOf('='));
      const value = pair.slice(name.length + 1);
      if (value === '' || /max-age=0/i.test(given)) jar.delete(name);
      else jar.set(name, value);
    }
    return { status: answer.status, url: at, html: await answer.text(), headers: answer.headers };
  }

  /** Follows redirects, until one would lead to an address that begins with `stop`. */
  async open(url: URL | string, { stop }: { stop?: string } = {}): Promise<Opened> {
    let opened = await this.send(url);
    for (let hops = 0; hops < 10; hops++) {
      const to = opened.headers.get('location');
      if (to === null) return opened;
      const next = new URL(to, opened.url);
      if (stop !== undefined && next.href.startsWith(stop)) return { ...opened, url: next };
      opened = await this.send(next);
    }
    throw new Error('the redirects do not end');
  }

  /** Sends the first form of the page with these fields beside its hidden ones. */
  async submit(page: Opened, fields: Record<string, string>, options: { stop?: string } = {}): Promise<Opened> {
    const action = /<form[^>]* action="([^"]+)"/.exec(page.html)?.[1] ?? page.url.href;
    const hidden = [...page.html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const body = new URLSearchParams({
      ...Object.fromEntries(hidden.map(([, name, value]) => [name!, value!])),
      ...fields,
    });
    const at = new URL(action, page.url);
    const sent = await this.send(at, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: at.origin },
      body: body.toString(),
    });
    const to = sent.headers.get('location');
    if (to === null) return sent;
    const next = new URL(to, at);
    if (options.stop !== undefined && next.href.startsWith(options.stop)) return { ...sent, url: next };
    return this.open(next, options);
  }

  /** From `/auth/login` of a Fairlead to where the issuer leads back; with `stop`, to the address before it is opened. */
  async logIn(loginUrl: string, person: string, options: { stop?: string } = {}): Promise<Opened> {
    const page = await this.open(loginUrl, options);
    // The issuer knows this browser already.
    if (!page.html.includes('name="login"')) return page;
    return this.submit(page, { login: person, password: 'x' }, options);
  }

  /** Ends the issuer's own session, which tells its clients. */
  async logOutAt(issuer: Issuer): Promise<Opened> {
    return this.submit(await this.open(`${issuer.url}/session/end`), { logout: 'yes' });
  }
}

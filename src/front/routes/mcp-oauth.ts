/** Routes of logins to MCP servers: begin one, come back from one, forget one, and the client id document. Main thread. */
import type { UserServer } from '../../../workers/agent/contract/mcp.js';
import type { LoginBegun, LoginPage } from '../../../workers/agent/contract/logins.js';
import { audit, auditedAs, isUnaudited } from '../../shared/audit.js';
import { errorToData, FairleadError } from '../../shared/errors.js';
import { noSuchServer } from '../../shared/kept-for-groups.js';
import {
  CALLBACK_PATH,
  clientDocument,
  DOCUMENT_PATH,
  LOGIN_PATH,
  loginCookieName,
  type OAuthIdentity,
} from '../../shared/oauth-identity.js';
import type { Standing } from '../../shared/person.js';
import type { Agents } from '../../threads/agents.js';
import { noBody } from '../frames.js';
import type { Exchange, Header } from '../http.js';
import { del, get, post, postForm, type Route, type RouteCall } from '../router.js';
import { markup, sendPage, type Html } from './login-pages.js';

/** A login takes several requests to an authorization server. */
const LOGIN_TIMEOUT_MS = 95_000;
/** Far longer than a code or an issuer. */
const MAX_VALUE = 4_096;

export interface OAuthRoutesOptions {
  agents: Agents;
  identity: () => OAuthIdentity;
  /** Tells all threads to forget what they know of this login. */
  forget: (of: UserServer) => Promise<void>;
  /** Whether the server is there for somebody with these rights. */
  sees: (server: string, who: Standing) => boolean;
}

export function oauthRoutes({ agents, identity, forget, sees }: OAuthRoutesOptions): Route[] {
  const seen = ({ params, who }: RouteCall): string => {
    const server = params['server']!;
    if (!sees(server, who)) throw noSuchServer(server);
    return server;
  };
  const ask = <K extends 'mcp-login-page' | 'mcp-login-begin'>(ticket: string, name: K) =>
    agents.request(ticket, name, { ticket }, { timeoutMs: LOGIN_TIMEOUT_MS });
  return [
    post('/v1/mcp/:server/login', noBody, async (call) => {
      const { exchange, user } = call;
      const request = { user, server: seen(call), unasked: true, identity: identity() };
      const { url, endsAt } = await agents.request(user, 'mcp-login', request, { timeoutMs: LOGIN_TIMEOUT_MS });
      exchange.json(200, { url, expiresAt: endsAt });
    }),
    del('/v1/mcp/:server/login', async (call) => {
      const { exchange, user, who } = call;
      const of = { user, server: seen(call) };
      const { revoked } = await agents.request(user, 'mcp-logout', of, { timeoutMs: LOGIN_TIMEOUT_MS });
      audit({ what: 'mcp_login', ...auditedAs(user, who), about: { server: of.server, act: 'logout', revoked } });
      await forget(of);
      exchange.json(200, { revoked });
    }),
    get(
      DOCUMENT_PATH,
      ({ exchange }) => {
        const document = clientDocument(identity());
        if (!document)
          throw new FairleadError('ERR_NOT_FOUND', 'there is no document, since mcp.publicUrl is not an https address');
        exchange.json(200, document);
      },
      { access: 'open' },
    ),
    // No other credentials: who opens the page has its address, which was made for one login.
    get(
      `${LOGIN_PATH}:ticket`,
      async ({ exchange, params }) => {
        const login = await askUser(exchange, () => ask(params['ticket']!, 'mcp-login-page'));
        if (login === undefined) return;
        if (login === null) return failed(exchange, 404, GONE);
        sendPage(exchange, 200, { title: `Connect ${login.server}`, body: beginBody(login), hasForm: true });
      },
      { access: 'open', noHead: true },
    ),
    postForm(`${LOGIN_PATH}:ticket`, async ({ exchange, params }) => {
      // A form on another page would begin a login that the user has not seen.
      const { fetchSite } = exchange.head;
      if (fetchSite !== '' && fetchSite !== 'same-origin') {
        throw new FairleadError('ERR_FORBIDDEN_ORIGIN', 'a login begins on its own page');
      }
      const begun = await askUser(exchange, () => ask(params['ticket']!, 'mcp-login-begin'));
      if (begun === undefined) return;
      if (begun === null) return failed(exchange, 404, GONE);
      const { url, issuer } = begun;
      const body = markup`<p>You log in at ${hostOf(issuer)}.</p>
        <p><a href="${url}" rel="noreferrer">Go on</a></p>`;
      sendPage(exchange, 200, { title: 'One moment', body, next: url, headers: [setCookie(begun, identity())] });
    }),
    // No other credentials: the browser comes with a state and a cookie that were made for one login, or is refused.
    get(
      CALLBACK_PATH,
      async ({ exchange, query }) => {
        const given = callbackOf(query);
        if (!given) return failed(exchange, 400, 'this address is incomplete');
        if (isUnaudited()) return failed(exchange, 503, NOT_NOW);
        const cookie = loginCookieName(given.state, identity());
        const browser = cookieOf(exchange.head.cookie, cookie);
        const request = { ...given, ...(browser === undefined ? {} : { browser }) };
        const answer = await askUser(exchange, () =>
          agents.request(given.state, 'mcp-callback', request, { timeoutMs: LOGIN_TIMEOUT_MS }),
        );
        if (!answer) return;
        const { of, ...end } = answer;
        if (of) {
          // Without a credential: the browser has only the login's cookie.
          const { user, server } = of;
          const outcome = end.ok ? 'ok' : 'failed';
          audit({ what: 'mcp_login', user, address: exchange.head.address, outcome, about: { server, act: 'login' } });
        }
        if (of && end.ok) await forget(of);
        if (!end.ok) return failed(exchange, 400, end.message);
        const body = markup`<p>You can close this window.</p>`;
        sendPage(exchange, 200, { title: 'You are logged in', body, headers: [dropCookie(cookie)] });
      },
      { access: 'open', noHead: true },
    ),
  ];
}

const GONE = 'this login is not known, or its time is over: ask for a new address';
const NOT_NOW = 'the server cannot go on with the login now: try again in a moment';

/** Undefined: the answer is a page that says to come again. */
async function askUser<T>(exchange: Exchange, request: () => Promise<T>): Promise<T | undefined> {
  try {
    return await request();
  } catch (error) {
    const { code } = errorToData(error);
    if (code === 'ERR_INTERNAL') throw error;
    if (code === 'ERR_NOT_FOUND') failed(exchange, 404, GONE);
    else failed(exchange, 503, NOT_NOW);
    return undefined;
  }
}

function beginBody({ user, server, issuer }: LoginPage): Html {
  return markup`
<p>This connects the Fairlead user <strong>${user}</strong> to the MCP server <strong>${server}</strong>. You log in at <strong>${hostOf(issuer)}</strong>.</p>
<p>Whoever is logged in there lends that account to the agents of <strong>${user}</strong>. If you are not ${user}, close this window.</p>
<form method="post"><button type="submit">Connect ${user} to ${server}</button></form>`;
}

function failed(exchange: Exchange, status: number, message: string): void {
  sendPage(exchange, status, { title: 'The login did not work', body: markup`<p>${message}.</p>` });
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** Lax: it comes with the browser when the authorization server sends the user back. */
function setCookie({ state, browser, leftMs }: LoginBegun, identity: OAuthIdentity): Header {
  const name = loginCookieName(state, identity);
  const secure = name.startsWith('__Host-') ? '; Secure' : '';
  const value = `${name}=${browser}; Path=/; Max-Age=${Math.ceil(leftMs / 1_000)}; HttpOnly; SameSite=Lax${secure}`;
  return ['Set-Cookie', value];
}

function dropCookie(name: string): Header {
  return [
    'Set-Cookie',
    `${name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax${name.startsWith('__Host-') ? '; Secure' : ''}`,
  ];
}

function cookieOf(header: string, name: string): string | undefined {
  const pair = header.split(';').find((each) => each.trimStart().startsWith(`${name}=`));
  const value = pair?.trim().slice(name.length + 1);
  return value !== undefined && value.length <= MAX_VALUE ? value : undefined;
}

type Given = { state: string; code?: string; iss?: string; error?: string };

function callbackOf(query: URLSearchParams): Given | undefined {
  const value = (name: string): string | undefined => {
    const text = query.get(name) ?? undefined;
    return text !== undefined && text.length <= MAX_VALUE ? text : undefined;
  };
  const [state, code, iss, error] = [value('state'), value('code'), value('iss'), value('error')];
  if (state === undefined) return undefined;
  return {
    state,
    ...(code === undefined ? {} : { code }),
    ...(iss === undefined ? {} : { iss }),
    ...(error === undefined ? {} : { error }),
  };
}

/** Routes of logins to MCP servers: begin one, come back from one, forget one, and the client id document. Main thread. */
import type { UserServer } from '../../../workers/agent/contract/mcp.js';
import type { LoginEnd } from '../../../workers/agent/contract/logins.js';
import { errorToData, FairleadError } from '../../shared/errors.js';
import { CALLBACK_PATH, clientDocument, DOCUMENT_PATH, type OAuthIdentity } from '../../shared/oauth-identity.js';
import type { Agents } from '../../threads/agents.js';
import { noBody } from '../frames.js';
import type { Exchange } from '../http.js';
import { del, get, post, type Route } from '../router.js';

/** A login takes several requests to an authorization server. */
const LOGIN_TIMEOUT_MS = 95_000;
/** Far longer than a code or an issuer. */
const MAX_VALUE = 4_096;

export interface OAuthRoutesOptions {
  agents: Agents;
  identity: () => OAuthIdentity;
  /** Tells all threads to forget what they know of this login. */
  forget: (of: UserServer) => Promise<void>;
}

export function oauthRoutes({ agents, identity, forget }: OAuthRoutesOptions): Route[] {
  return [
    post('/v1/mcp/:server/login', noBody, async ({ exchange, user, params }) => {
      const request = { user, server: params['server']!, unasked: true, identity: identity() };
      const { url, endsAt } = await agents.request(user, 'mcp-login', request, { timeoutMs: LOGIN_TIMEOUT_MS });
      exchange.json(200, { url, expiresAt: endsAt });
    }),
    del('/v1/mcp/:server/login', async ({ exchange, user, params }) => {
      const of = { user, server: params['server']! };
      const { revoked } = await agents.request(user, 'mcp-logout', of, { timeoutMs: LOGIN_TIMEOUT_MS });
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
    // No other credentials: the browser comes with a state that was made for one login, or is refused.
    get(
      CALLBACK_PATH,
      async ({ exchange, query }) => {
        const given = callbackOf(query);
        if (!given) return page(exchange, 400, { ok: false, message: 'this address is incomplete' });
        try {
          const { of, ...end } = await agents.request(given.state, 'mcp-callback', given, {
            timeoutMs: LOGIN_TIMEOUT_MS,
          });
          if (of && end.ok) await forget(of);
          page(exchange, end.ok ? 200 : 400, end);
        } catch (error) {
          if (errorToData(error).code === 'ERR_INTERNAL') throw error;
          page(exchange, 503, {
            ok: false,
            message: 'the server cannot finish the login now: log in again in a moment',
          });
        }
      },
      { access: 'open', noHead: true },
    ),
  ];
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

/** A plain page. Its policy lets nothing run in it, and keeps its address, which holds a code, from being passed on. */
function page(exchange: Exchange, status: number, end: LoginEnd): void {
  const [title, text] = end.ok
    ? ['You are logged in', 'You can close this window.']
    : ['The login did not work', `${end.message}.`];
  const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<body><h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p></body></html>
`;
  exchange.answer(status, 'text/html; charset=utf-8', html, [
    ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"],
    ['Referrer-Policy', 'no-referrer'],
  ]);
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

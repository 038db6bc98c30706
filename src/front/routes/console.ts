/** Routes of the console: its page, its assets, and the log-in with a token or a one-time code. Main thread. */
import { z } from 'zod';
import { audit } from '../../shared/audit.js';
import { FairleadError } from '../../shared/errors.js';
import type { Person } from '../../shared/person.js';
import { hashToken, LOCAL_USER } from '../../shared/token-file.js';
import { unauthorized, type Auth } from '../auth.js';
import { isOwnPage } from '../browser/same-origin.js';
import type { ConsoleFiles } from '../console-files.js';
import type { Exchange, Header } from '../http.js';
import type { LogIns } from '../log-ins.js';
import { get, postOpen, type Route } from '../router.js';
import { sendFile } from '../send-file.js';
import type { Strangers } from '../strangers.js';
import type { BrowserRoutesOptions } from './browser-login.js';

export interface ConsoleParts {
  auth: Pick<Auth, 'identify' | 'tokenHolder'>;
  strangers: Pick<Strangers, 'asked'>;
  logIns: Pick<LogIns, 'letIn' | 'refused'>;
  /** Absent: it was not built. */
  files: ConsoleFiles | undefined;
  /** Absent: no browser logs in, since everybody is `local`. */
  browsers: BrowserRoutesOptions | undefined;
  isBlocked: (user: string) => boolean;
}

/** A token has no such length; a JWT, which is refused here, may. */
const MAX_TOKEN = 8_192;

const loginBody = z.union([
  z.strictObject({ token: z.string().min(1).max(MAX_TOKEN) }),
  z.strictObject({ code: z.string().min(1).max(200) }),
]);

/** Nothing runs, loads or is asked for but from this server. Scripts and styles stand in files of it alone. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE_HEADERS: readonly Header[] = [
  ['Content-Security-Policy', POLICY],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Permissions-Policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
  // Asked for each time, and answered with 304: a new release is there with the next look.
  ['Cache-Control', 'no-cache'],
];
const ASSET_HEADERS: readonly Header[] = [
  ['Cache-Control', 'public, max-age=31536000, immutable'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];

export function consoleRoutes(parts: ConsoleParts): Route[] {
  const { auth, strangers, logIns, files, browsers, isBlocked } = parts;
  return [
    ...(files ? fileRoutes(files) : []),
    get('/v1/login', async ({ exchange }) => exchange.json(200, await standing(exchange)), { access: 'open' }),
    postOpen('/v1/login', loginBody, async ({ exchange }, body) => {
      if (!browsers) throw new FairleadError('ERR_NOT_FOUND', 'nobody logs in here: auth.mode is none');
      if (!isOwnPage(exchange.head, browsers.browsers.site.base)) {
        throw new FairleadError('ERR_FORBIDDEN_ORIGIN', 'this is for the server’s own pages alone');
      }
      const { person, cookie } = 'token' in body ? byToken(exchange, body.token) : byCode(exchange, body.code);
      exchange.json(200, shown(person), [['Set-Cookie', cookie]]);
    }),
  ];

  /** Who is logged in here, and how somebody may log in. */
  async function standing(exchange: Exchange): Promise<object> {
    const known = await auth.identify(exchange.head);
    if (known instanceof FairleadError && known.code !== 'ERR_UNAUTHORIZED') throw known;
    const ways = [...(browsers ? ['token'] : []), ...(browsers?.issuer ? ['issuer'] : [])];
    return { ways, ...(!(known instanceof FairleadError) && { person: shown(known) }) };
  }

  function byToken(exchange: Exchange, token: string): { person: Person; cookie: string } {
    const { address } = exchange.head;
    const sha256 = hashToken(token.trim());
    const found = auth.tokenHolder(sha256, address);
    if (!(found instanceof FairleadError)) {
      const { cookie, login } = browsers!.browsers.logInByToken(found, sha256);
      const { user, credential } = found;
      audit({ what: 'login', user, credential, address, about: { by: 'token', login: login.id } });
      return { person: found, cookie };
    }
    throw refusal(exchange, found);
  }

  function byCode(exchange: Exchange, code: string): { person: Person; cookie: string } {
    const { address } = exchange.head;
    if (isBlocked(LOCAL_USER)) throw new FairleadError('ERR_BLOCKED', 'this user is blocked');
    const begun = browsers!.links.take(code) ? browsers!.browsers.logInLocal() : undefined;
    if (begun) {
      const { id, endsAt } = begun.login;
      const person: Person = {
        user: LOCAL_USER,
        role: 'admin',
        groups: [],
        credential: `cookie:${id}`,
        expiresAt: endsAt,
      };
      audit({ what: 'login', user: LOCAL_USER, credential: person.credential, address, about: { by: 'link' } });
      return { person, cookie: begun.cookie };
    }
    throw refusal(exchange, unauthorized('this link was used already, or its 15 minutes are over'));
  }

  /** As a bad token in a header: it counts against the address, and is in the logs. */
  function refusal({ head }: Exchange, error: FairleadError): FairleadError {
    const { address, path, requestId } = head;
    logIns.refused({ address, path, requestId, authorization: 'a form' }, error);
    return strangers.asked(address) ?? error;
  }
}

function fileRoutes({ page, docs, assets }: ConsoleFiles): Route[] {
  return [
    get('/docs', ({ exchange }) => sendFile(exchange, docs, PAGE_HEADERS), { access: 'page' }),
    get(
      '/',
      ({ exchange }) => {
        // Programs that look at the address get what they have always got.
        if (!exchange.head.accept.includes('text/html')) throw new FairleadError('ERR_NOT_FOUND', 'no such resource');
        sendFile(exchange, page, PAGE_HEADERS);
      },
      { access: 'page' },
    ),
    get(
      '/assets/:name',
      ({ exchange, params }) => {
        const asset = assets.get(params['name'] ?? '');
        if (!asset) throw new FairleadError('ERR_NOT_FOUND', 'no such resource');
        sendFile(exchange, asset, ASSET_HEADERS);
      },
      { access: 'page' },
    ),
  ];
}

function shown({ user, role, groups, expiresAt }: Person): object {
  return { user, role, groups, ...(expiresAt !== undefined && { expiresAt }) };
}

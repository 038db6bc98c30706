/** Leads a request to its route: checks origin, path, method, credentials and body, in this order. Main thread. */
import type { z } from 'zod';
import { refuseUnaudited } from '../shared/audit.js';
import { FairleadError, isFairleadError } from '../shared/errors.js';
import { hasRole, whoOf, type Person, type Role, type Who } from '../shared/person.js';
import { unauthorized, type Auth, type Identified } from './auth.js';
import { readBody, type BodyKind } from './body.js';
import type { ByteBudget } from './byte-budget.js';
import { parseBody } from './frames.js';
import type { Exchange, Header } from './http.js';
import type { LogIns } from './log-ins.js';
import type { MetricsAccess } from './metrics-access.js';
import type { Origins } from './origin.js';
import type { RefusalLog } from './refusal-log.js';
import type { RefusedActs } from './refused-acts.js';
import type { RequestRate } from './request-rate.js';
import type { Strangers } from './strangers.js';

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface RouteCall {
  exchange: Exchange;
  /** '' where a route needs no credentials. */
  user: string;
  person: Person;
  /** The person as the agent threads get to know them. */
  who: Who;
  /** The decoded `:name` parts of the path. */
  params: Record<string, string>;
  query: URLSearchParams;
}

/** A body that comes without credentials is no longer than a form. */
const MAX_OPEN_BODY_BYTES = 16_384;

/** Shorter ones have mostly come with the head. */
const LONG_BODY_BYTES = 65_536;

/**
 * A role: credentials of a person who has at least it. `probe`, `open` and `page` need none; a `probe` is never refused, and a `page` is
 * there while the server is not ready, since it says so itself. `metrics` needs the scrape token.
 */
type Access = Role | 'open' | 'page' | 'probe' | 'metrics';

/** Who asks on a route that needs no credentials. */
const NOBODY: Person = { user: '', role: 'user', groups: [], credential: '' };

export interface Route {
  method: Method;
  path: string;
  access: Access;
  segments: string[];
  /** True for streams, which have no HEAD. */
  noHead: boolean;
  /** The router reads it, so that no route can parse a body by itself. `stream`: bytes that nobody parses, held back for the route. */
  body: BodyKind | 'stream';
  /** An administrator's act that is done also while it cannot be recorded: it lets nobody in. */
  always?: boolean;
  /** What checks a JSON body, for the description. */
  schema?: z.ZodType;
  handle(call: RouteCall, body: unknown): Promise<void> | void;
}

interface RouteOptions {
  access?: Access;
  noHead?: boolean;
}

interface ChangeOptions {
  access?: Role;
  /** See Route. */
  always?: boolean;
}

export function get(
  path: string,
  handle: (call: RouteCall) => Promise<void> | void,
  { access = 'user', noHead = false }: RouteOptions = {},
): Route {
  return { method: 'GET', path, segments: path.split('/'), access, noHead, body: 'none', handle };
}

export function del(
  path: string,
  handle: (call: RouteCall) => Promise<void> | void,
  { access = 'user', always = false }: ChangeOptions = {},
): Route {
  return { method: 'DELETE', path, segments: path.split('/'), access, noHead: true, body: 'none', always, handle };
}

/** Bytes, which the route takes from the exchange as they come. */
export function put(path: string, handle: (call: RouteCall) => Promise<void> | void): Route {
  return { method: 'PUT', path, segments: path.split('/'), access: 'user', noHead: true, body: 'stream', handle };
}

/** Without credentials. */
function postWithout(path: string, body: Route['body'], handle: Route['handle']): Route {
  return { method: 'POST', path, segments: path.split('/'), access: 'open', noHead: true, body, handle };
}

/** A form of one of our own pages, without fields: its body is dropped. */
export function postForm(path: string, handle: (call: RouteCall) => Promise<void> | void): Route {
  return postWithout(path, 'none', handle);
}

/** What somebody sends to get in: JSON without credentials. */
export function postOpen<T>(
  path: string,
  schema: z.ZodType<T>,
  handle: (call: RouteCall, body: T) => Promise<void> | void,
): Route {
  return { ...postWithout(path, 'json', (call, json) => handle(call, parseBody(schema, json ?? {}))), schema };
}

/** What another server sends as a form, without credentials of ours. */
export function postFields(
  path: string,
  handle: (call: RouteCall, fields: URLSearchParams) => Promise<void> | void,
): Route {
  return postWithout(path, 'form', (call, fields) => handle(call, fields as URLSearchParams));
}

/** Checks the body against `schema`; an absent body counts as `{}`. */
export function post<T>(
  path: string,
  schema: z.ZodType<T>,
  handle: (call: RouteCall, body: T) => Promise<void> | void,
  { access = 'user', always = false }: ChangeOptions = {},
): Route {
  return {
    method: 'POST',
    path,
    segments: path.split('/'),
    access,
    noHead: true,
    body: 'json',
    always,
    schema,
    handle: (call, json) => handle(call, parseBody(schema, json ?? {})),
  };
}

export interface RouterOptions {
  routes: readonly Route[];
  auth: Auth;
  metricsAccess: MetricsAccess;
  origins: Origins;
  /** Absent: refusals leave no line. */
  refusals?: RefusalLog;
  /** Absent: nobody records who is let in. */
  logIns?: LogIns;
  /** Absent: nobody records what people try beyond their role. */
  refusedActs?: RefusedActs;
  budget: ByteBudget;
  /** Of each user. */
  reads: RequestRate;
  strangers: Strangers;
  maxBodyBytes: number;
  /** Why no request but a probe or a scrape is served yet. Absent: all are. */
  notServing?: () => FairleadError | undefined;
}

export class Router {
  readonly #options: RouterOptions;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Never rejects: an error becomes the answer. */
  async serve(exchange: Exchange): Promise<void> {
    const { auth, strangers } = this.#options;
    let asker = auth.identify(exchange.head);
    if (asker instanceof Promise) {
      exchange.holdBody();
      asker = await asker;
    }
    const isStranger = asker instanceof FairleadError;
    if (asker instanceof FairleadError) this.#options.logIns?.refused(exchange.head, asker);
    else this.#options.logIns?.letIn(asker, exchange.head.address);
    const tooMany = isStranger ? strangers.asked(exchange.head.address) : undefined;
    // A stranger keeps no connection that costs more than it may ask for, and has no long body read for nothing.
    if (tooMany || (isStranger && hasLongBody(exchange.head))) exchange.isLast = true;
    try {
      await this.#serve(exchange, asker, tooMany);
    } catch (error) {
      if (isFairleadError(error, 'ERR_FORBIDDEN') && !(asker instanceof FairleadError)) {
        const { method, path, address } = exchange.head;
        this.#options.refusedActs?.note(asker, { method, route: exchange.route, path, address }, error);
      }
      const challenge: Header[] =
        error instanceof FairleadError && error.code === 'ERR_UNAUTHORIZED'
          ? [['WWW-Authenticate', challengeOf(exchange.head)]]
          : [];
      exchange.fail(error, challenge);
    }
  }

  async #serve(exchange: Exchange, asker: Identified, tooMany: FairleadError | undefined): Promise<void> {
    const { head } = exchange;
    const { origins, routes, budget, reads, maxBodyBytes, notServing } = this.#options;
    const refused = origins.refusal(head);
    if (refused) {
      this.#options.refusals?.note(refused, head);
      throw refused;
    }
    exchange.headers = origins.corsHeaders(head.origin);
    if (head.path === '/v1/ws' && head.method !== 'OPTIONS') {
      exchange.route = '/v1/ws';
      const error = new FairleadError('ERR_UPGRADE_REQUIRED', 'this path speaks WebSocket');
      return exchange.fail(error, [['Upgrade', 'websocket']]);
    }
    const path = head.path.split('/');
    const found: { route: Route; params: Record<string, string> }[] = [];
    for (const route of routes) {
      const params = match(route.segments, path);
      if (params) found.push({ route, params });
    }
    const [first] = found;
    // Probes are answered always: their answer costs no more than a refusal.
    if (tooMany && first?.route.access !== 'probe' && !this.#mayScrape(first?.route, head)) throw tooMany;
    if (!first) throw new FairleadError('ERR_NOT_FOUND', 'no such resource');
    exchange.route = first.route.path;
    const allowed = methodsOf(found.map(({ route }) => route));
    if (head.method === 'OPTIONS') return preflight(exchange, allowed);
    const hit = found.find(({ route }) => route.method === head.method || (head.method === 'HEAD' && !route.noHead));
    if (!hit) {
      const error = new FairleadError('ERR_METHOD_NOT_ALLOWED', `this resource takes ${allowed.join(', ')}`);
      return exchange.fail(error, [['Allow', allowed.join(', ')]]);
    }
    const person = this.#person(exchange, hit.route, asker);
    const { user } = person;
    const { access } = hit.route;
    const cookie = this.#options.auth.renewal(person);
    if (cookie !== undefined) exchange.headers.push(['Set-Cookie', cookie]);
    const always = access === 'probe' || access === 'page' || access === 'metrics';
    const unready = always ? undefined : notServing?.();
    if (unready) throw unready;
    if (needsRecord(hit.route)) refuseUnaudited();
    const tooOften = user !== '' && hit.route.method === 'GET' && reads.take(user);
    if (tooOften) throw tooOften;
    if (hit.route.body === 'stream') {
      exchange.holdBody(); // before the route first waits
      return hit.route.handle(this.#callOf(exchange, hit, person), undefined);
    }
    const maxBytes = user === '' ? Math.min(MAX_OPEN_BODY_BYTES, maxBodyBytes) : maxBodyBytes;
    const charge = user === '' ? undefined : (bytes: number) => budget.spend(user, bytes);
    // A length is charged before the body is read. A chunked body has none, so its pieces are charged as they come.
    const length = Math.min(Number(head.contentLength) || 0, maxBytes);
    const tooFast = !head.chunked && (length > 0 || head.method === 'POST') ? charge?.(length) : undefined;
    if (tooFast) throw tooFast;
    const body = await readBody(exchange, hit.route.body, { maxBytes, ...(head.chunked && charge && { charge }) });
    const ended = this.#options.auth.refusal(person); // a body may come slowly
    if (ended) throw ended;
    return hit.route.handle(this.#callOf(exchange, hit, person), body);
  }

  #callOf(exchange: Exchange, { params }: { params: Record<string, string> }, person: Person): RouteCall {
    const { head } = exchange;
    const who = whoOf(person, head.address);
    return { exchange, user: person.user, person, who, params, query: new URLSearchParams(head.query) };
  }

  /** ERR_FORBIDDEN for a role below the route's, and the refusal of the credentials. */
  #person(exchange: Exchange, route: Route, asker: Identified): Person {
    const { head } = exchange;
    if (route.access === 'probe' || this.#mayScrape(route, head)) return NOBODY;
    if (route.access === 'open' || route.access === 'page') {
      this.#enter(exchange);
      return NOBODY;
    }
    if (asker instanceof FairleadError) throw asker;
    if (route.access === 'metrics') throw unauthorized();
    if (!hasRole(asker, route.access)) {
      throw new FairleadError(
        'ERR_FORBIDDEN',
        `this needs the role ${route.access}, and ${asker.user} has ${asker.role}`,
      );
    }
    return asker;
  }

  #mayScrape(route: Route | undefined, { authorization }: Exchange['head']): boolean {
    return route?.access === 'metrics' && this.#options.metricsAccess.allows(authorization);
  }

  #enter(exchange: Exchange): void {
    const { strangers } = this.#options;
    const { address } = exchange.head;
    const full = strangers.enter(address);
    if (full) throw full;
    exchange.onClose(() => strangers.left(address));
  }
}

/** RFC 6750, section 3.1: a client that has sent a token is told that it is of no use. */
function challengeOf({ authorization }: Exchange['head']): string {
  return /^Bearer /i.test(authorization) ? 'Bearer error="invalid_token"' : 'Bearer';
}

/** An administrator's act is refused where it cannot be recorded; what users do is refused where it is done. */
function needsRecord({ access, method, always = false }: Route): boolean {
  return !always && (access === 'operator' || access === 'admin') && method !== 'GET';
}

function hasLongBody({ chunked, contentLength }: Exchange['head']): boolean {
  return chunked || Number(contentLength) > LONG_BODY_BYTES;
}

/** Pages that speak MCP send its headers. `*` is for `Mcp-Param-…` of any name; it does not cover `Authorization`. */
const ALLOWED_HEADERS =
  'Authorization, Content-Type, Last-Event-ID, Fairlead-Session, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, *';

export function preflight(exchange: Exchange, allowed: string[]): void {
  const cors: Header[] =
    exchange.headers.length === 0
      ? []
      : [
          ['Access-Control-Allow-Methods', allowed.join(', ')],
          ['Access-Control-Allow-Headers', ALLOWED_HEADERS],
          ['Access-Control-Max-Age', '600'],
        ];
  exchange.empty(204, [['Allow', allowed.join(', ')], ...cors]);
}

function methodsOf(routes: readonly Route[]): string[] {
  const head = routes.some(({ method, noHead }) => method === 'GET' && !noHead) ? ['HEAD'] : [];
  return [...routes.map(({ method }) => method), ...head, 'OPTIONS'];
}

function match(pattern: readonly string[], path: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== path.length) return undefined;
  // Checked first, since nearly every route differs in a fixed part: then no object is created.
  if (pattern.some((part, index) => !part.startsWith(':') && part !== path[index])) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    if (!part.startsWith(':')) continue;
    const value = decode(path[index] ?? '');
    if (value === undefined || value === '') return undefined;
    params[part.slice(1)] = value;
  }
  return params;
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** What goes wrong between us and a `url` server, and what may be done about it. Agent threads. */
import {
  InsufficientScopeError,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  UnauthorizedError,
} from '@modelcontextprotocol/client';
import { FairleadError, type ErrorCode, type ErrorOptions } from '../../../src/shared/errors.js';
import { causes } from './causes.js';
import { ChallengeError } from './challenge.js';

const RETRY_AFTER_MS = 5_000;
const MAX_TEXT = 300;

export interface RemoteFailureOptions extends ErrorOptions {
  /** The request may have reached the server. */
  sent: boolean;
  /** It says that the server is not there, not that it refuses this request: counts towards the breaker. */
  outage?: boolean;
  /** How long the server itself asks us to wait. */
  waitMs?: number;
}

/** An error of the HTTP exchange itself. ERR_UNAVAILABLE for what may pass, else ERR_MCP. */
export class RemoteFailure extends FairleadError {
  readonly sent: boolean;
  readonly outage: boolean;
  readonly waitMs: number;

  constructor(
    code: ErrorCode,
    message: string,
    { sent, outage = false, waitMs = 0, ...options }: RemoteFailureOptions,
  ) {
    super(code, message, options);
    this.sent = sent;
    this.outage = outage;
    this.waitMs = waitMs;
  }
}

/** In the error that our transport makes of a stream that ended before its answer; nobody else can make one. */
export const STREAM_ENDED = Symbol('the stream ended before its answer');

/** Nothing was sent when it came to these: repeating is safe for whatever it was. */
const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** An error of undici as one of ours. */
export function networkFailure(server: string, error: unknown): RemoteFailure {
  const found = remoteFailure(error);
  if (found) return found;
  const code = systemCode(error);
  const text = error instanceof Error ? error.message : String(error);
  if (/^(ERR_TLS|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|ERR_SSL)/.test(code)) {
    const message = `the certificate of ${server} is not accepted: ${bounded(text)}`;
    return new RemoteFailure('ERR_MCP', message, { sent: false, cause: error });
  }
  const what = CONNECT_CODES.has(code) ? 'cannot be reached' : 'closed the connection';
  return new RemoteFailure('ERR_UNAVAILABLE', `${server} ${what}: ${bounded(`${code} ${text}`.trim())}`, {
    sent: !CONNECT_CODES.has(code),
    outage: true,
    retryAfterMs: RETRY_AFTER_MS,
    cause: error,
  });
}

/** Whether it is worth asking whoever does the authorization. */
export function needsAuthorization(error: unknown): boolean {
  return causes(error).some(
    (cause) =>
      cause instanceof ChallengeError ||
      UnauthorizedError.isInstance(cause) ||
      InsufficientScopeError.isInstance(cause) ||
      (SdkHttpError.isInstance(cause) && cause.status === 401),
  );
}

/** A legacy server has forgotten the session: it restarted. The request was refused, not run. */
export function sessionGone(error: unknown): boolean {
  const http = httpError(error);
  return http?.status === 404 || (http?.status === 400 && /session/i.test(bodyText(http) ?? ''));
}

const UNSUPPORTED_VERSION = -32022;

/** A server of the modern era that no longer is one refuses the request at its door. */
export function eraChanged(error: unknown): boolean {
  const status = httpError(error)?.status;
  if (status === 400 || status === 404 || status === 405 || status === 426) return true;
  return causes(error).some((cause) => ProtocolError.isInstance(cause) && cause.code === UNSUPPORTED_VERSION);
}

/** Streamable HTTP is unknown to it: it may be a server that speaks HTTP+SSE only. */
export function perhapsSse(error: unknown): boolean {
  const status = httpError(error)?.status;
  return status === 400 || status === 404 || status === 405;
}

/** The server is not there or not well; what it says about one request is no outage. */
export function isOutage(error: unknown, method: string): boolean {
  return causes(error).some((cause) => {
    if (cause instanceof RemoteFailure) return cause.outage;
    if (isTimeout(cause)) return method !== 'tools/call'; // a tool may well take longer than its caller's patience
    return SdkHttpError.isInstance(cause) && cause.status >= 500 && rpcMessage(bodyText(cause)) === undefined;
  });
}

/** Whether the same request may be sent again: always when it was not sent at all. */
export function mayRepeat(error: unknown, safe: boolean): boolean {
  const failure = remoteFailure(error);
  return failure?.code === 'ERR_UNAVAILABLE' && (safe || !failure.sent);
}

export function remoteFailure(error: unknown): RemoteFailure | undefined {
  return causes(error).find((cause): cause is RemoteFailure => cause instanceof RemoteFailure);
}

/** HostClient's describeFailure. Undefined: it is the server's own word, or a deadline. */
export function describeFailure(server: string, error: unknown): FairleadError | undefined {
  const chain = causes(error);
  const failure = chain.find((cause) => cause instanceof FairleadError);
  if (failure instanceof FairleadError) return failure;
  const kept = chain.find((cause) => ProtocolError.isInstance(cause) && cause.data instanceof RemoteFailure);
  if (ProtocolError.isInstance(kept) && kept.data instanceof RemoteFailure) return kept.data;
  if (chain.some((cause) => ProtocolError.isInstance(cause) && cause.data === STREAM_ENDED)) {
    const text = `${server} closed the connection before its answer; the call may have run`;
    return new RemoteFailure('ERR_UNAVAILABLE', text, { sent: true, outage: true, retryAfterMs: 0, cause: error });
  }
  const http = httpError(error);
  if (http) return describeStatus(server, http, error);
  if (chain.some((cause) => SdkError.isInstance(cause) && CLOSED.has(cause.code))) {
    const text = `the connection to ${server} ended while the request ran; it may have run in part`;
    return new RemoteFailure('ERR_UNAVAILABLE', text, { sent: true, outage: true, retryAfterMs: 0, cause: error });
  }
  return undefined;
}

const CLOSED = new Set<string>([SdkErrorCode.ConnectionClosed, SdkErrorCode.NotConnected]);

function describeStatus(server: string, error: SdkHttpError, cause: unknown): FairleadError {
  const { status } = error;
  const said = saidBy(bodyText(error));
  const mcp = (text: string): FairleadError => new FairleadError('ERR_MCP', text, { cause });
  if (status === 401) {
    return mcp(
      `${server} wants authorization (HTTP 401): log in with «fairlead mcp login ${server}», or check its auth`,
    );
  }
  if (status === 403)
    return mcp(`${server} denies access (HTTP 403)${said}: the account or its scopes do not allow this`);
  if (status === 404 || status === 405) {
    return mcp(`${server} speaks no MCP at its url (HTTP ${status})${said}: check the url`);
  }
  if (status >= 500) {
    const text = `${server} failed (HTTP ${status})${said}`;
    return new RemoteFailure('ERR_UNAVAILABLE', text, { sent: true, retryAfterMs: RETRY_AFTER_MS, cause });
  }
  return mcp(`${server} refused the request (HTTP ${status})${said}`);
}

/** What the server said, unless it is a web page. */
function saidBy(text: string | undefined): string {
  const said = rpcMessage(text) ?? (text !== undefined && !/^\s*</.test(text) ? text.trim() : '');
  return said === '' ? '' : `: ${bounded(said)}`;
}

function bodyText({ data }: SdkHttpError): string | undefined {
  const { text } = data as { text?: unknown };
  return typeof text === 'string' ? text : undefined;
}

/** Of the JSON-RPC error in a body. */
function rpcMessage(text: string | undefined): string | undefined {
  if (text === undefined || !text.trimStart().startsWith('{')) return undefined;
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } };
    return typeof error?.message === 'string' ? error.message : undefined;
  } catch {
    return undefined; // no JSON: then it is just text
  }
}

export function isTimeout(error: unknown): boolean {
  return SdkError.isInstance(error) && error.code === SdkErrorCode.RequestTimeout;
}

function httpError(error: unknown): SdkHttpError | undefined {
  return causes(error).find((cause): cause is SdkHttpError => SdkHttpError.isInstance(cause));
}

/** Of a system or undici error, however deep: several addresses that failed are told as one AggregateError. */
function systemCode(error: unknown): string {
  for (const cause of causes(error)) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === 'string' && code !== '') return code;
  }
  return '';
}

export function bounded(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

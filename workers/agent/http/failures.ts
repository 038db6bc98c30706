/** Failures between us and a `url` server: what they mean, and whether to retry. Agent threads. */
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
  /** The server is unreachable or unwell, as opposed to refusing this request: counts towards the breaker. */
  outage?: boolean;
  /** The wait that the server itself asks for. */
  waitMs?: number;
}

/** An error of the HTTP exchange itself. ERR_UNAVAILABLE when it may pass, else ERR_MCP. */
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

/** Marks our transport's error for a stream that ended before its response. A symbol: no server can send one. */
export const STREAM_ENDED = Symbol('the stream ended before its answer');

/** These happen before anything is sent, so that any request may be retried. */
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

/** Turns an error of undici into one of ours. */
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

/** Whether authorization may help. */
export function needsAuthorization(error: unknown): boolean {
  return causes(error).some(
    (cause) =>
      cause instanceof ChallengeError ||
      UnauthorizedError.isInstance(cause) ||
      InsufficientScopeError.isInstance(cause) ||
      (SdkHttpError.isInstance(cause) && cause.status === 401),
  );
}

/** A legacy server has lost the session, for instance by a restart. It refused the request without running it. */
export function sessionGone(error: unknown): boolean {
  const http = httpError(error);
  return http?.status === 404 || (http?.status === 400 && /session/i.test(bodyText(http) ?? ''));
}

const UNSUPPORTED_VERSION = -32022;

/** A server no longer speaks the modern protocol: it refuses the request without running it. */
export function protocolChanged(error: unknown): boolean {
  const status = httpError(error)?.status;
  if (status === 400 || status === 404 || status === 405 || status === 426) return true;
  return causes(error).some((cause) => ProtocolError.isInstance(cause) && cause.code === UNSUPPORTED_VERSION);
}

/**
 * Whether the same server may answer another request than this first one. False where that would not be answered either, and
 * where the server has asked for a pause.
 */
export function mayAnswerAnother(error: unknown): boolean {
  const failure = remoteFailure(error);
  if (!failure || httpError(error)) return true;
  return failure.sent && failure.waitMs === 0;
}

/** The server is unwell, or answers with an error by HTTP, and has not refused the connection itself. */
export function isServerFault(error: unknown): boolean {
  const status = httpError(error)?.status;
  return status === undefined ? remoteFailure(error)?.outage === true : status >= 500;
}

/** The server does not know Streamable HTTP: it may speak HTTP+SSE only. */
export function perhapsSse(error: unknown): boolean {
  const status = httpError(error)?.status;
  return status === 400 || status === 404 || status === 405;
}

/** The server is unreachable or unwell. A refusal of one request is no outage. */
export function isOutage(error: unknown, method: string): boolean {
  return causes(error).some((cause) => {
    if (cause instanceof RemoteFailure) return cause.outage;
    if (isTimeout(cause)) return method !== 'tools/call'; // a tool may just be slow
    return SdkHttpError.isInstance(cause) && cause.status >= 500 && rpcMessage(bodyText(cause)) === undefined;
  });
}

/** Whether to retry the same request: always when it was not sent, else only where it is `safe`. */
export function mayRepeat(error: unknown, safe: boolean): boolean {
  const failure = remoteFailure(error);
  return failure?.code === 'ERR_UNAVAILABLE' && (safe || !failure.sent);
}

export function remoteFailure(error: unknown): RemoteFailure | undefined {
  return causes(error).find((cause): cause is RemoteFailure => cause instanceof RemoteFailure);
}

/** HostClient's `describeFailure`. Undefined for the server's own error and for a deadline. */
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

/** The SDK's codes for a connection that ended under a request. */
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

/** The server's message, unless it is a web page. */
function saidBy(text: string | undefined): string {
  const said = rpcMessage(text) ?? (text !== undefined && !/^\s*</.test(text) ? text.trim() : '');
  return said === '' ? '' : `: ${bounded(said)}`;
}

function bodyText({ data }: SdkHttpError): string | undefined {
  const { text } = data as { text?: unknown };
  return typeof text === 'string' ? text : undefined;
}

/** The message of the JSON-RPC error in a body. */
function rpcMessage(text: string | undefined): string | undefined {
  if (text === undefined || !text.trimStart().startsWith('{')) return undefined;
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } };
    return typeof error?.message === 'string' ? error.message : undefined;
  } catch {
    return undefined; // plain text
  }
}

function isTimeout(error: unknown): boolean {
  return SdkError.isInstance(error) && error.code === SdkErrorCode.RequestTimeout;
}

function httpError(error: unknown): SdkHttpError | undefined {
  return causes(error).find((cause): cause is SdkHttpError => SdkHttpError.isInstance(cause));
}

/** The code of a system or undici error, however deep in the chain. */
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

/** The table of all error codes, and errors as they cross threads. Every thread. */

/**
 * By code: what it means, its HTTP status, and whether a retry may help. Callers and tests compare codes, never text.
 * `docs/protocol.md` prints this table.
 */
export const ERROR_TABLE = {
  ERR_BAD_FRAME: { status: 400, retry: false, title: 'The frame or request is not of this protocol' },
  ERR_BAD_PATH: { status: 400, retry: false, title: 'That path is none of the workspace' },
  ERR_BAD_IMAGE: { status: 400, retry: false, title: 'The model does not take this image' },
  ERR_UNAUTHORIZED: { status: 401, retry: false, title: 'No or bad credentials' },
  ERR_BUDGET: { status: 402, retry: false, title: 'A budget of tokens or money is used up' },
  ERR_FORBIDDEN: { status: 403, retry: false, title: "This is beyond the user's role" },
  ERR_BLOCKED: { status: 403, retry: false, title: 'This user is blocked' },
  ERR_FORBIDDEN_ORIGIN: { status: 403, retry: false, title: 'This Origin is not allowed' },
  ERR_FORBIDDEN_PROXY: { status: 403, retry: false, title: 'This server is not to be reached through a proxy' },
  ERR_NO_SUCH_SESSION: { status: 404, retry: false, title: 'No such session for this user' },
  ERR_NOT_FOUND: { status: 404, retry: false, title: 'No such resource' },
  ERR_NO_SUCH_FILE: { status: 404, retry: false, title: 'The workspace has no such file' },
  ERR_METHOD_NOT_ALLOWED: { status: 405, retry: false, title: 'This resource does not take that method' },
  ERR_CALL_NOT_PENDING: { status: 409, retry: false, title: 'That call or question is not waiting for an answer' },
  ERR_CALL_CHANGED: { status: 409, retry: false, title: 'The tool has changed since it was shown: it is asked anew' },
  ERR_DUPLICATE_MESSAGE: { status: 409, retry: false, title: 'A message with this id was accepted before' },
  ERR_HISTORY_FULL: { status: 409, retry: false, title: 'The history of this session is full' },
  ERR_FILE_CONFLICT: { status: 409, retry: false, title: 'What is there does not allow it' },
  ERR_FILE_CHANGED: { status: 412, retry: false, title: 'The file is not the one that the request expects' },
  ERR_TOO_LARGE: { status: 413, retry: false, title: 'The body is over the limit' },
  ERR_RANGE: { status: 416, retry: false, title: 'The file has no such range' },
  ERR_UPGRADE_REQUIRED: { status: 426, retry: false, title: 'This path speaks WebSocket' },
  ERR_TOO_MANY_REQUESTS: { status: 429, retry: true, title: 'Too many requests in flight' },
  ERR_QUOTA: { status: 429, retry: true, title: "One of the user's limits is reached" },
  ERR_TOO_MANY_SOCKETS: { status: 429, retry: true, title: 'Too many connections for this user' },
  ERR_INTERNAL: { status: 500, retry: false, title: 'A fault in the server' },
  ERR_MODEL: { status: 502, retry: true, title: 'The model did not answer' },
  ERR_MAX_ROUNDS: { status: 502, retry: false, title: 'The turn reached its limit of rounds' },
  ERR_MODEL_NOT_ALLOWED: { status: 400, retry: false, title: 'That model cannot be chosen here' },
  ERR_SANDBOX: { status: 502, retry: true, title: 'The sandbox could not be started or has died' },
  ERR_MCP: { status: 502, retry: true, title: 'The MCP server broke its protocol or did not answer' },
  ERR_MCP_LOGIN: { status: 403, retry: false, title: 'The MCP server wants this user to log in' },
  ERR_DENIED: { status: 403, retry: false, title: 'The approval rules deny this' },
  ERR_TOOL_ARGS: { status: 400, retry: false, title: "The arguments do not fit the tool's schema" },
  ERR_UNAVAILABLE: { status: 503, retry: true, title: 'Over the limit or not there right now' },
  ERR_DRAINING: { status: 503, retry: true, title: 'The server drains or stops' },
  ERR_STORE_CONFLICT: { status: 503, retry: true, title: 'Another server has taken this session over' },
  ERR_CHANNEL_CLOSED: { status: 503, retry: true, title: 'The thread behind this request has gone' },
  ERR_CHANNEL_TIMEOUT: { status: 503, retry: true, title: 'The thread behind this request did not answer in time' },
  ERR_NO_SPACE: { status: 507, retry: false, title: 'The workspace is full' },
  ERR_CANCELLED: { status: 499, retry: false, title: 'Cancelled by the user' },
  ERR_HISTORY_CORRUPT: { status: 500, retry: false, title: 'A stored history block cannot be read' },
  ERR_CONFIG: { status: 422, retry: false, title: 'The configuration has problems' },
  ERR_START: { status: 500, retry: false, title: 'A part the configuration names cannot be used' },
} as const satisfies Record<`ERR_${string}`, { status: number; retry: boolean; title: string }>;

export type ErrorCode = keyof typeof ERROR_TABLE;

export interface ErrorOptions {
  cause?: unknown;
  /** When a retry may help, in ms from now. */
  retryAfterMs?: number;
  details?: ErrorDetails;
}

/** Facts for a client's code, beside the words: which limit, how much. They stand next to `code` in what a client gets. */
export type ErrorDetails = Readonly<Record<string, string | number>>;

/** The one error class with a code. Any other error becomes ERR_INTERNAL where it leaves the thread. */
export class FairleadError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FairleadError';
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }
}

/** An error as data, since postMessage would lose its class and its code. */
export interface ErrorData {
  code: ErrorCode;
  name: string;
  message: string;
  stack?: string;
  retryAfterMs?: number;
  details?: ErrorDetails;
}

export function isFairleadError(value: unknown, code?: ErrorCode): value is FairleadError {
  return value instanceof FairleadError && (code === undefined || value.code === code);
}

/** Any thrown value as data. Without one of our codes it is ERR_INTERNAL. */
export function errorToData(value: unknown): ErrorData {
  if (value instanceof FairleadError) {
    return {
      code: value.code,
      name: value.name,
      message: value.message,
      ...(value.stack === undefined ? {} : { stack: value.stack }),
      ...(value.retryAfterMs === undefined ? {} : { retryAfterMs: value.retryAfterMs }),
      ...(value.details === undefined ? {} : { details: value.details }),
    };
  }
  if (value instanceof Error) {
    return {
      code: 'ERR_INTERNAL',
      name: value.name,
      message: value.message,
      ...(value.stack === undefined ? {} : { stack: value.stack }),
    };
  }
  return { code: 'ERR_INTERNAL', name: 'Error', message: String(value) };
}

export function errorFromData(data: ErrorData): FairleadError {
  const { retryAfterMs, details } = data;
  const error = new FairleadError(data.code, data.message, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(details === undefined ? {} : { details }),
  });
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}

/** The message that a client may see: that of a coded error, else “internal error”. */
export function publicMessage(error: ErrorData): string {
  return error.code === 'ERR_INTERNAL' ? 'internal error' : error.message;
}

/** The one error class of the client library. */

/** Beside the server's codes: the session was closed here before the answer came. */
export const CLOSED = 'ERR_CLOSED';

export interface ClientErrorOptions {
  cause?: unknown;
  /** The status of an HTTP answer. */
  status?: number | undefined;
  /** When a retry may help, ms from now. */
  retryAfterMs?: number | undefined;
}

/** `code` is one of the server's (docs/protocol.md, "The error table"), or ERR_CLOSED. */
export class ClientError extends Error {
  readonly code: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, { cause, status, retryAfterMs }: ClientErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ClientError';
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

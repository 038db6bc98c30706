/** Errors as clients get them: RFC 9457 problems over HTTP, `error` events and close codes over WebSocket. Main thread. */
import {
  ERROR_TABLE,
  errorToData,
  FairleadError,
  publicMessage,
  type ErrorCode,
  type ErrorData,
} from '../shared/errors.js';
import { CLOSE, type WireError } from '../shared/protocol.js';

const DEFAULT_RETRY_MS = 1_000;

export interface Problem {
  status: number;
  body: string;
  /** Seconds; with 429 and 503 only. */
  retryAfter: number | undefined;
}

/** `requestId` finds the request in the log; `more` stands beside what every problem has. */
export function toProblem(error: ErrorData, requestId?: string, more: object = {}): Problem {
  const { status, title } = ERROR_TABLE[error.code];
  const body = {
    ...error.details,
    ...more,
    type: `urn:fairlead:error:${error.code}`,
    title,
    status,
    detail: publicMessage(error),
    code: error.code,
    ...(requestId === undefined ? {} : { requestId }),
  };
  const retryAfter =
    status === 429 || status === 503 ? Math.ceil((error.retryAfterMs ?? DEFAULT_RETRY_MS) / 1000) : undefined;
  return { status, body: JSON.stringify(body), retryAfter };
}

/** `id`: of the frame that failed. `requestId`: of the HTTP request, or of the WebSocket's upgrade. */
export function toErrorFrame(
  thrown: unknown,
  { id, requestId }: { id?: string | undefined; requestId: string },
): string {
  const error = errorToData(thrown);
  return JSON.stringify({
    ...error.details,
    type: 'error',
    code: error.code,
    message: publicMessage(error),
    ...(id === undefined ? {} : { id }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    requestId,
  });
}

/** The close code of a socket whose attach has failed; 1013 where a later try may succeed. */
export function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case 'ERR_NO_SUCH_SESSION':
      return CLOSE.noSuchSession;
    case 'ERR_UNAUTHORIZED':
    case 'ERR_FORBIDDEN_ORIGIN': // a cookie from another page counts as none
      return CLOSE.unauthorized;
    case 'ERR_BLOCKED':
    case 'ERR_FORBIDDEN':
      return CLOSE.blocked;
    case 'ERR_BAD_FRAME':
    case 'ERR_MODEL_NOT_ALLOWED':
      return CLOSE.notThisProtocol;
    case 'ERR_DRAINING':
      return CLOSE.draining;
    default:
      return CLOSE.overloaded;
  }
}

/** The error for an HTTP stream of a session that is closed with a WebSocket's close code. */
export function errorOfClose(code: number, reason: string): FairleadError {
  switch (code) {
    case CLOSE.noSuchSession:
      return new FairleadError('ERR_NO_SUCH_SESSION', reason);
    case CLOSE.unauthorized:
      return new FairleadError('ERR_UNAUTHORIZED', reason);
    case CLOSE.blocked:
      return new FairleadError('ERR_BLOCKED', reason);
    case CLOSE.draining:
      return new FairleadError('ERR_DRAINING', reason, { retryAfterMs: 5_000 });
    default:
      return new FairleadError('ERR_UNAVAILABLE', reason);
  }
}

/** The error that a turn has ended with; an unknown code becomes ERR_INTERNAL. */
export function errorOfWire(error: WireError | undefined): FairleadError {
  const known = error !== undefined && Object.hasOwn(ERROR_TABLE, error.code);
  return new FairleadError(
    known ? (error.code as ErrorCode) : 'ERR_INTERNAL',
    error?.message ?? 'the turn failed',
    error?.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs },
  );
}

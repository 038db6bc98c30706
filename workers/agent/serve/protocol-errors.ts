/** Failures as errors of MCP, for clients of `/mcp`. Pure; agent threads. */
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import { errorToData, FairleadError, publicMessage, type ErrorCode } from '../../../src/shared/errors.js';

/** As a number, since an error's code is one and the SDK's codes are an enum. */
const INVALID_PARAMS: number = ProtocolErrorCode.InvalidParams;
/** Servers of the older protocol use this code. */
const RESOURCE_NOT_FOUND: number = ProtocolErrorCode.ResourceNotFound;

/** All other codes become InternalError. */
const CODES: Partial<Record<ErrorCode, ProtocolErrorCode>> = {
  ERR_NO_SUCH_SESSION: ProtocolErrorCode.InvalidParams,
  ERR_DENIED: ProtocolErrorCode.InvalidRequest,
};

/** `data.code` holds Fairlead's code. A server's refusal is passed on unchanged. */
export function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const refusal = refusalOf(error);
  if (refusal) return refusal;
  const data = errorToData(error);
  return new ProtocolError(CODES[data.code] ?? ProtocolErrorCode.InternalError, publicMessage(data), {
    code: data.code,
  });
}

/** The server's own error when it refused the request; undefined for any other failure. */
export function refusalOf(error: unknown): ProtocolError | undefined {
  const cause = error instanceof FairleadError ? error.cause : undefined;
  return cause instanceof ProtocolError && isNotFound(cause) ? cause : undefined;
}

export function isInvalidParams(error: unknown): error is ProtocolError {
  return error instanceof ProtocolError && error.code === INVALID_PARAMS;
}

/** Servers report an unknown resource in several ways, all of which may mean an unknown prompt or argument too. */
export function isNotFound(error: unknown): boolean {
  return isInvalidParams(error) || (error instanceof ProtocolError && error.code === RESOURCE_NOT_FOUND);
}

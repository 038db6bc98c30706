/** Errors as MCP has them: what a client of `/mcp` is told of a failure. Pure; agent threads. */
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import { errorToData, FairleadError, publicMessage, type ErrorCode } from '../../../src/shared/errors.js';

/** The codes of the specification are an enum, which does not compare with the number that an error has. */
const INVALID_PARAMS: number = ProtocolErrorCode.InvalidParams;
/** Older servers answer with this one. */
const RESOURCE_NOT_FOUND: number = ProtocolErrorCode.ResourceNotFound;

/** All others are InternalError. */
const CODES: Partial<Record<ErrorCode, ProtocolErrorCode>> = {
  ERR_NO_SUCH_SESSION: ProtocolErrorCode.InvalidParams,
  ERR_DENIED: ProtocolErrorCode.InvalidRequest,
};

/** `data.code` is the code of ours. A server's refusal of the request reaches the client as the server put it. */
export function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const refusal = refusalOf(error);
  if (refusal) return refusal;
  const data = errorToData(error);
  return new ProtocolError(CODES[data.code] ?? ProtocolErrorCode.InternalError, publicMessage(data), {
    code: data.code,
  });
}

/** The error of a server that refuses the request as such; undefined: it failed in another way. */
export function refusalOf(error: unknown): ProtocolError | undefined {
  const cause = error instanceof FairleadError ? error.cause : undefined;
  return cause instanceof ProtocolError && isNotFound(cause) ? cause : undefined;
}

export function isInvalidParams(error: unknown): boolean {
  return error instanceof ProtocolError && error.code === INVALID_PARAMS;
}

/** Servers say that they lack a resource in several ways; all of them may mean a prompt or an argument too. */
export function isNotFound(error: unknown): boolean {
  return isInvalidParams(error) || (error instanceof ProtocolError && error.code === RESOURCE_NOT_FOUND);
}

/** A server's process has ended, or ends again and again. Agent threads. */
import { FairleadError, type ErrorCode } from '../../../../src/shared/errors.js';

export class ServerEnded extends FairleadError {
  /** How it ended: in our words alone, so that it may be shown to every user. */
  readonly how: string;

  constructor(
    code: Extract<ErrorCode, 'ERR_MCP' | 'ERR_UNAVAILABLE'>,
    message: string,
    { how, ...options }: { how: string; cause?: unknown; retryAfterMs?: number },
  ) {
    super(code, message, options);
    this.how = how;
  }
}

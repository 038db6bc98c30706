/** When to come back is useless. Pure. */
import { ClientError, CLOSED } from './client-error.js';
import type { Loss } from './connection.js';

/** Close codes (docs/protocol.md) that a second attempt does not change. Numbers, since the protocol's table is as long as this. */
const FINAL: Record<number, string> = {
  4400: 'ERR_BAD_FRAME',
  4401: 'ERR_UNAUTHORIZED',
  4403: 'ERR_BLOCKED',
  4404: 'ERR_NO_SUCH_SESSION',
  4405: CLOSED,
};

/** The error that ends the session; undefined where the next attempt may help. `renewable`: a newer token can be had. */
export function judgeLoss(loss: Loss, giveUpAfterMs: number, renewable: boolean): ClientError | undefined {
  const { code, why, cause, awayMs, refusals } = loss;
  // The first refusal of an ended credential is followed by a newer one.
  if (code === 4401 && renewable && refusals < 2) return undefined;
  const final = FINAL[code];
  if (final !== undefined) return new ClientError(final, why, { cause });
  const { status = 0, name } = (cause ?? {}) as { status?: number; name?: string };
  if (status >= 300 && status < 500 && status !== 429) {
    return new ClientError('ERR_NOT_FOUND', `no Fairlead there: ${why}`, { cause, status });
  }
  // A browser throws it for an address or a token that cannot be sent.
  if (code === 0 && name === 'SyntaxError') return new ClientError('ERR_BAD_FRAME', why, { cause });
  if (awayMs <= giveUpAfterMs) return undefined;
  return new ClientError('ERR_UNAVAILABLE', `the server does not come back (${why})`, { cause });
}

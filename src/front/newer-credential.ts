/** `auth:refresh`: a socket goes on with a newer credential of the same user. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import type { ServerEvent } from '../shared/protocol.js';
import type { Auth } from './auth.js';
import type { LogIns } from './log-ins.js';
import type { Strangers } from './strangers.js';

export interface CredentialJudges {
  auth: Pick<Auth, 'identify'>;
  strangers: Pick<Strangers, 'asked'>;
  logIns?: Pick<LogIns, 'letIn' | 'refused'> | undefined;
}

/**
 * The person as the newer credential names them; or why the socket ends: one that is not good counts like a failed log-in, so
 * that nobody tries tokens here. Rejects with ERR_UNAVAILABLE where it cannot be told now: then the old one counts on.
 */
export async function newerCredential(
  { auth, strangers, logIns }: CredentialJudges,
  known: { user: string; address: string },
  token: string,
): Promise<Person | FairleadError> {
  const { address, user } = known;
  const offered = { authorization: `Bearer ${token}`, address };
  const found = await auth.identify(offered);
  if (!(found instanceof FairleadError) && found.user === user) {
    logIns?.letIn(found, address);
    return found;
  }
  if (found instanceof FairleadError && found.code === 'ERR_UNAVAILABLE') throw found;
  const why =
    found instanceof FairleadError ? found : new FairleadError('ERR_UNAUTHORIZED', 'the token is another user’s');
  strangers.asked(address);
  logIns?.refused(offered, why);
  return why;
}

export function refreshedFrame({ role, expiresAt }: Person, id: string | undefined): string {
  const event: ServerEvent = {
    type: 'auth:refreshed',
    ...(id !== undefined && { id }),
    role,
    ...(expiresAt !== undefined && { expiresAt }),
  };
  return JSON.stringify(event);
}

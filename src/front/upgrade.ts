/** The upgrade request, judged: who asks, for which session, from which event on. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Auth, AuthHeaders } from './auth.js';
import type { JudgedUpgrade } from './connection.js';
import { badFrame, defined } from './frames.js';
import { parseSeq, toSessionId } from './session-id.js';

/** A refusal is told after the upgrade, by a close code, since a browser shows its page no HTTP status of an upgrade. */
export function judgeUpgrade(auth: Auth, headers: AuthHeaders, query: string): JudgedUpgrade {
  try {
    return readUpgrade(auth, headers, new URLSearchParams(query));
  } catch (error) {
    if (error instanceof FairleadError) return { refused: error };
    throw error;
  }
}

function readUpgrade(auth: Auth, headers: AuthHeaders, params: URLSearchParams): JudgedUpgrade {
  const user = auth.userOf(headers);
  if (user === undefined) throw new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials');
  // An empty value counts as absent: a shell without the variable sends `?session=$SESSION` so.
  const session = params.get('session') || undefined;
  const given = params.get('after') || undefined;
  const after = given === undefined ? undefined : parseSeq(given);
  if (given !== undefined && after === undefined) throw badFrame('after must be an integer of 0 or more');
  const model = params.get('model') || undefined;
  return { user, ...defined({ session: session && toSessionId(session), after, model }) };
}

/** The upgrade request, judged: who asks, for which session, from which event on. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Auth, AuthHeaders } from './auth.js';
import type { JudgedUpgrade } from './connection.js';
import { badFrame, defined } from './frames.js';
import { parseSeq, toSessionId } from './session-id.js';
import type { Strangers } from './strangers.js';

export interface UpgradeJudges {
  auth: Auth;
  strangers: Strangers;
  /** Why nobody is served yet. Absent: everybody is. */
  notServing?: (() => FairleadError | undefined) | undefined;
}

/** A refusal is told after the upgrade, by a close code, since a browser shows its page no HTTP status of an upgrade. */
export function judgeUpgrade(
  { auth, strangers, notServing }: UpgradeJudges,
  headers: AuthHeaders & { address: string },
  query: string,
): JudgedUpgrade {
  try {
    const user = auth.userOf(headers);
    if (user === undefined) {
      throw strangers.asked(headers.address) ?? new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials');
    }
    const unready = notServing?.();
    if (unready) throw unready;
    return readUpgrade(user, new URLSearchParams(query));
  } catch (error) {
    if (error instanceof FairleadError) return { refused: error };
    throw error;
  }
}

function readUpgrade(user: string, params: URLSearchParams): JudgedUpgrade {
  // An empty value counts as absent: a shell without the variable sends `?session=$SESSION` so.
  const session = params.get('session') || undefined;
  const given = params.get('after') || undefined;
  const after = given === undefined ? undefined : parseSeq(given);
  if (given !== undefined && after === undefined) throw badFrame('after must be an integer of 0 or more');
  const model = params.get('model') || undefined;
  return { user, ...defined({ session: session && toSessionId(session), after, model }) };
}

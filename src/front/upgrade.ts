/** The upgrade request, judged: who, which session, from where. Its verdict is told after the upgrade, by a close code. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Auth, Credentials } from './auth.js';
import type { Opening } from './connection.js';
import { badFrame } from './frames.js';
import { isSessionId, parseSeq } from './session-id.js';

export function judgeUpgrade(auth: Auth, credentials: Credentials, query: string): Opening {
  const user = auth.userOf(credentials);
  if (user === undefined) return { refused: new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials') };
  const params = new URLSearchParams(query);
  // An empty value is an absent one: `?session=$SESSION` of a shell that has none.
  const session = params.get('session') || undefined;
  if (session !== undefined && !isSessionId(session)) {
    return { refused: new FairleadError('ERR_NO_SUCH_SESSION', 'no such session') };
  }
  const after = params.get('after') || undefined;
  const seq = after === undefined ? undefined : parseSeq(after);
  if (after !== undefined && seq === undefined) return { refused: badFrame('after must be an integer of 0 or more') };
  const model = params.get('model') || undefined;
  return {
    user,
    ...(session === undefined ? {} : { session }),
    ...(seq === undefined ? {} : { after: seq }),
    ...(model === undefined ? {} : { model }),
  };
}

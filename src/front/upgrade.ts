/** The upgrade request, judged: who asks, for which session, from which event on. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import type { Auth, AuthHeaders, Identified } from './auth.js';
import type { JudgedUpgrade } from './connection.js';
import { badFrame, defined } from './frames.js';
import { parseSeq, toSessionId } from './session-id.js';
import type { LogIns } from './log-ins.js';
import type { Strangers } from './strangers.js';

export interface UpgradeJudges {
  auth: Auth;
  strangers: Strangers;
  logIns?: LogIns;
  /** Why nobody is served yet. Absent: everybody is. */
  notServing?: (() => FairleadError | undefined) | undefined;
}

type Asking = AuthHeaders & { address: string; path: string; query: string; requestId: string };

/** A refusal is told after the upgrade, by a close code, since a browser shows its page no HTTP status of an upgrade. */
export function judgeUpgrade(judges: UpgradeJudges, asking: Asking): JudgedUpgrade | Promise<JudgedUpgrade> {
  const identified = judges.auth.identify(asking);
  if (!(identified instanceof Promise)) return judge(judges, asking, identified);
  return identified.then((known) => judge(judges, asking, known));
}

function judge({ strangers, notServing, logIns }: UpgradeJudges, asking: Asking, asker: Identified): JudgedUpgrade {
  const { address, query } = asking;
  if (asker instanceof FairleadError) {
    logIns?.refused(asking, asker);
    return { refused: strangers.asked(address) ?? asker };
  }
  logIns?.letIn(asker, address);
  const unready = notServing?.();
  if (unready) return { refused: unready };
  try {
    return readUpgrade(asker, address, new URLSearchParams(query));
  } catch (error) {
    if (error instanceof FairleadError) return { refused: error };
    throw error;
  }
}

function readUpgrade(person: Person, address: string, params: URLSearchParams): JudgedUpgrade {
  // An empty value counts as absent: a shell without the variable sends `?session=$SESSION` so.
  const session = params.get('session') || undefined;
  const given = params.get('after') || undefined;
  const after = given === undefined ? undefined : parseSeq(given);
  if (given !== undefined && after === undefined) throw badFrame('after must be an integer of 0 or more');
  const model = params.get('model') || undefined;
  const image = params.get('image') || undefined;
  return { person, address, ...defined({ session: session && toSessionId(session), after, model, image }) };
}

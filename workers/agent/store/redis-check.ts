/** Asks Redis for every right that the store needs, and changes nothing. Agent threads. */
import { SESSIONS_KEY } from './redis-indexes.js';
import type { RedisCall } from './redis-link.js';
import { CHECK, EVENTS } from './redis-scripts.js';

/** Never there. */
const CHECK_KEY = 'fairlead:{check}:none';

/** Sends scripts as a commit and a read are sent, so that a Redis that refuses these refuses this. */
export async function checkRights(call: RedisCall): Promise<void> {
  await Promise.all([
    call.write<[string, number]>(CHECK, [CHECK_KEY, SESSIONS_KEY], []),
    call.read(EVENTS, [CHECK_KEY, CHECK_KEY], ['0', '1']),
  ]);
}

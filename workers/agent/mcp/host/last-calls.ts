/** How a server ends that a reload has changed or taken away: what runs there goes on. Agent threads. */
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError } from '../../../../src/shared/errors.js';

/** A call has a deadline of its own; this is for one that none ends. */
export const LAST_CALLS_MS = 3_600_000;
/** Whoever has just got a connection makes a request on it by then. */
export const QUIET_MS = 1_000;

/** Resolves when no call has run on the connection for a while, at the latest after LAST_CALLS_MS, or when it is not held any more. */
export async function lastCalls(connection: { readonly quietMs: number }, isHeld: () => boolean): Promise<void> {
  const endsAt = performance.now() + LAST_CALLS_MS;
  while (isHeld() && connection.quietMs < QUIET_MS && performance.now() < endsAt)
    await delay(QUIET_MS, undefined, { ref: false });
}

/** For a call that comes too late. */
export function closedServer(server: string): FairleadError {
  return new FairleadError('ERR_MCP', `the MCP server ${server} has been changed in the configuration, or removed`);
}

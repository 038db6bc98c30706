/** The janitor's clock: once a minute the agent threads look for sessions past their time to live. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../shared/log.js';
import type { AgentPool } from '../threads/agent-pool.js';

const SWEEP_INTERVAL_MS = 60_000;
/** Sessions that one thread deletes in one round: a box full of expired ones must not starve the living. */
const SWEEP_LIMIT = 100;

/** A round starts a minute after the last one ended. */
export function startJanitor(agents: AgentPool, log: Logger): { close(): void } {
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    for (;;) {
      await delay(SWEEP_INTERVAL_MS, undefined, { signal: abort.signal });
      try {
        const results = await Promise.all(agents.each('sweep-sessions', { limit: SWEEP_LIMIT }));
        const deleted = results.reduce((sum, result) => sum + result.deleted, 0);
        if (deleted > 0) log.info({ deleted }, 'expired sessions deleted');
      } catch (error) {
        log.warn({ err: (error as Error).message }, 'the janitor will try again');
      }
    }
  };
  run().catch((error: unknown) => {
    if (!abort.signal.aborted) log.error({ err: (error as Error).message }, 'the janitor has stopped');
  });
  return { close: () => abort.abort() };
}

/** Has the agent threads delete expired sessions once a minute. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { AllAgents } from './all-agents.js';

const SWEEP_INTERVAL_MS = 60_000;

/** Each sweep starts a minute after the end of the last one. */
export function startJanitor(all: AllAgents, log: Logger): { close(): void } {
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    for (;;) {
      await delay(SWEEP_INTERVAL_MS, undefined, { signal: abort.signal });
      const deleted = await all.sweep();
      if (deleted > 0) log.info({ deleted }, 'expired sessions deleted');
    }
  };
  run().catch((error: unknown) => {
    if (!abort.signal.aborted) log.error({ err: errorToData(error).message }, 'the janitor has stopped');
  });
  return { close: () => abort.abort() };
}

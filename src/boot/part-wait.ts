/** Asks for a part of the boot until it can be used, so that the server waits for it instead of failing. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs, type Backoff } from '../shared/backoff.js';
import { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';

export type PartAnswer<T> =
  | ({ state: 'usable' } & T)
  /** It may be back at any moment. `what`: a sentence; `todo`: what an operator can do. */
  | { state: 'away'; what: string; todo: string }
  /** Somebody must act, and start the server again. */
  | { state: 'unfit'; what: string; todo: string };

export interface PartWaitOptions<T> {
  /** Of the part, for the log. */
  name: string;
  ask: (signal: AbortSignal) => Promise<PartAnswer<T>>;
  log: Logger;
  /** What the server waits for; undefined: no more. Called at each change, never before the first failure. Its rejection ends the wait. */
  onWait: (reason: string | undefined) => Promise<void> | void;
  /** Ends the wait with its reason. */
  signal: AbortSignal;
  /** For tests. */
  again?: Backoff;
}

/** These parts are near, and everybody waits for them. */
export const AGAIN: Backoff = { firstMs: 250, maxMs: 5_000 };

/**
 * Resolves with the first answer of a part that can be used. ERR_START when it cannot, whatever time passes: at once, but after a
 * wait only at the second such answer, since a part that starts may refuse for a moment.
 */
export async function waitForPart<T>(options: PartWaitOptions<T>): Promise<{ state: 'usable' } & T> {
  const { name, ask, log, onWait, signal, again = AGAIN } = options;
  let waitsFor: string | undefined;
  let refused = false;
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    const answer = await ask(signal);
    if (answer.state === 'usable') {
      if (waitsFor !== undefined) {
        log.info({ asked: failures }, `${name} answers`);
        await onWait(undefined);
      }
      return answer;
    }
    const { state, what, todo } = answer;
    const lasting = state === 'unfit' && (waitsFor === undefined || refused);
    if (lasting) throw new FairleadError('ERR_START', `${what}: ${todo}`);
    refused = state === 'unfit';
    if (what !== waitsFor) {
      log.warn(`${what}: ${todo}. The server waits for it, and serves nobody until then`);
      await onWait(what);
    }
    waitsFor = what;
    await delay(Math.round(backoffMs(failures, again)), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

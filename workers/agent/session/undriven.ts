/** How a turn ends that nothing drives any more. Pure; agent threads. */
import type { LoopEnd } from '../turn/turn-loop.js';

export function storeWasAway(): LoopEnd {
  const error = {
    code: 'ERR_UNAVAILABLE',
    message: 'the store did not answer in time; send the message again',
    retryAfterMs: 1_000,
  };
  return { stopReason: 'error', error, events: [], messages: [] };
}

export function gaveUp(): LoopEnd {
  return { stopReason: 'interrupted', events: [], messages: [] };
}

/** Asks a session's agent thread for what a client's frame says. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Who } from '../shared/person.js';
import type { ClientFrame } from '../shared/protocol.js';
import type { Agents } from '../threads/agents.js';
import { defined, toUserBlocks } from './frames.js';
import { REQUEST_TIMEOUT_MS, RESTART_TIMEOUT_MS } from './hub.js';

export interface Asker {
  user: string;
  session: string;
  who: Who;
}

/** A frame that the socket itself does not answer. */
export type AskingFrame = Exclude<ClientFrame, { type: 'ping' | 'auth:refresh' }>;

/** Resolves when the thread has taken it; rejects with the error for this client. `requestId`: of the socket's upgrade. */
export function askAgent(agents: Agents, asker: Asker, frame: AskingFrame, requestId: string): Promise<unknown> {
  const { session } = asker;
  const deadline = { timeoutMs: REQUEST_TIMEOUT_MS };
  switch (frame.type) {
    case 'message': {
      const named = { requestId, ...(frame.id === undefined ? {} : { id: frame.id }) };
      return agents
        .request(session, 'submit-message', { ...asker, ...named, content: toUserBlocks(frame) }, deadline)
        .then(refuseDuplicate);
    }
    case 'tool:approval': {
      const { type: _type, id: _id, ...answer } = frame;
      return agents.request(session, 'answer-approval', { ...asker, ...defined(answer) }, deadline);
    }
    case 'elicitation:reply': {
      const { type: _type, id: _id, ...answer } = frame;
      return agents.request(session, 'answer-elicitation', { ...asker, ...defined(answer) }, deadline);
    }
    case 'turn:cancel':
      return agents.request(session, 'cancel-turn', asker, deadline);
    case 'history:reset':
      return agents.request(session, 'reset-history', asker, deadline);
    case 'sandbox:restart': {
      const { discard = false } = frame;
      return agents.request(session, 'restart-sandbox', { ...asker, discard }, { timeoutMs: RESTART_TIMEOUT_MS });
    }
  }
}

/** ERR_DUPLICATE_MESSAGE, so that a client that missed the message's `message:accepted` does not wait for it for ever. */
function refuseDuplicate(accepted: { turn: number; duplicate: boolean }): void {
  if (!accepted.duplicate) return;
  throw new FairleadError('ERR_DUPLICATE_MESSAGE', `this message was accepted before, as turn ${accepted.turn}`);
}

/** One run of an agent thread, from its start to its exit. Main thread. */
import type { Worker } from 'node:worker_threads';
import { pending, withDeadline } from '../shared/abort.js';
import { FairleadError, type ErrorCode } from '../shared/errors.js';
import type { AgentContract, AgentHostContract } from '../../workers/agent/contract/messages.js';
import { Channel, type NotificationHandlers, type RequestHandlers } from '../shared/threads/channel.js';

/** Until it serves, and again until it is prepared: before that nobody watches whether it hangs. */
const START_TIMEOUT_MS = 30_000;
const RETRY_MS = 1_000;

export type AgentChannel = Channel<AgentHostContract, AgentContract>;

export interface AgentHost {
  requests: RequestHandlers<AgentHostContract>;
  notifications: Omit<NotificationHandlers<AgentHostContract>, 'ready' | 'start-failed'>;
  /** Runs before a started thread serves its first request. */
  prepare: (channel: AgentChannel) => Promise<void>;
  /** The thread makes no turn of its event loop, and is ended if that goes on for as long again. */
  onSlow?: (index: number) => void;
  /** The thread has ended; runs before another one starts in its place. */
  onEnded?: (index: number) => void;
  /** Runs once a restarted thread serves; not after the first start. A rejection is logged. */
  onRestarted?: (index: number, channel: AgentChannel) => Promise<void> | void;
}

export interface AgentLife {
  readonly worker: Worker;
  readonly channel: AgentChannel;
  /** Resolves when the thread is ready and `prepare` has run. Rejects with the thread's own error (ERR_START); then it is terminated. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

/** `onEnd` runs before the open requests fail, since a caller whose request has failed may ask again at once. */
export function startLife(
  worker: Worker,
  host: AgentHost,
  onEnd: (code: number, fault: Error | undefined) => void,
  timeoutMs = START_TIMEOUT_MS,
): AgentLife {
  const channel: AgentChannel = new Channel(worker);
  let fault: Error | undefined;
  const served = pending<void>();
  channel.handle(host.requests, {
    ...host.notifications,
    ready: () => served.resolve(),
    'start-failed': ({ code, message }) => {
      fault = new FairleadError(code as ErrorCode, message); // the exit may come in the same turn of the event loop
      served.reject(fault);
    },
  });
  worker.on('error', (error) => {
    fault = error;
  });
  worker.once('exit', () => served.reject(fault ?? goneError()));
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      onEnd(code, fault);
      channel.close(goneError());
      resolve();
    });
  });
  const inTime = (work: () => Promise<void>): Promise<void> => withDeadline({ timeoutMs, late: lateError }, work);
  const ready = inTime(() => served.promise).then(() => inTime(() => host.prepare(channel)));
  // A thread that cannot serve has nothing to close.
  ready.catch(() => void worker.terminate());
  return { worker, channel, ready, ended };
}

function lateError(): FairleadError {
  return new FairleadError('ERR_START', 'an agent thread did not start in time');
}

function goneError(): FairleadError {
  return new FairleadError('ERR_CHANNEL_CLOSED', 'the agent thread has ended', { retryAfterMs: RETRY_MS });
}

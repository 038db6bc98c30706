/** One life of an agent thread, from its start to its exit. Main thread. */
import type { Worker } from 'node:worker_threads';
import { pending, withDeadline } from '../shared/abort.js';
import { FairleadError, type ErrorCode } from '../shared/errors.js';
import type { AgentContract, AgentHostContract } from '../../workers/agent/contract/messages.js';
import { Channel, type NotificationHandlers, type RequestHandlers } from '../shared/threads/channel.js';

const START_TIMEOUT_MS = 30_000;
const RETRY_MS = 1_000;

export type AgentChannel = Channel<AgentHostContract, AgentContract>;

export interface AgentHost {
  requests: RequestHandlers<AgentHostContract>;
  notifications: Omit<NotificationHandlers<AgentHostContract>, 'ready' | 'start-failed'>;
  /** Runs before a (re)started thread serves anyone. */
  prepare: (channel: AgentChannel) => Promise<void>;
  /** A thread that was started again serves from now on. Not told of the first start. A rejection is logged. */
  onRestarted?: (index: number, channel: AgentChannel) => Promise<void> | void;
}

export interface AgentLife {
  readonly worker: Worker;
  readonly channel: AgentChannel;
  /** It may serve: it said so, and `prepare` has run. Rejects with its own words (ERR_START), and then it is being ended. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

/** `onEnd` is called first of all when the thread has gone: who is told that a request is lost may ask again at once. */
export function startLife(
  worker: Worker,
  host: AgentHost,
  onEnd: (code: number, fault: Error | undefined) => void,
): AgentLife {
  const channel: AgentChannel = new Channel(worker);
  let fault: Error | undefined;
  const served = pending<void>();
  channel.handle(host.requests, {
    ...host.notifications,
    ready: () => served.resolve(),
    'start-failed': ({ code, message }) => served.reject(new FairleadError(code as ErrorCode, message)),
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
  const ready = withDeadline({ timeoutMs: START_TIMEOUT_MS, late: lateError }, () => served.promise).then(() =>
    host.prepare(channel),
  );
  // One that cannot serve has nothing to close in order.
  ready.catch(() => void worker.terminate());
  return { worker, channel, ready, ended };
}

function lateError(): FairleadError {
  return new FairleadError('ERR_START', 'an agent thread did not start in time');
}

function goneError(): FairleadError {
  return new FairleadError('ERR_CHANNEL_CLOSED', 'the agent thread has ended', { retryAfterMs: RETRY_MS });
}

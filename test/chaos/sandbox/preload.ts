/**
 * Loaded into the server's process before it starts (`node --import`), in every thread: lets a test do to the docker thread
 * what cannot be done from outside. SIGUSR2: a fault in it, outside of any task. SIGHUP: what it does each minute, now.
 */
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';
import type { DockerWorkerData } from '../../../workers/docker/contract/messages.js';
import type { Reconciler as ReconcilerType } from '../../../workers/docker/reconciler.js';

const channel = new BroadcastChannel('chaos');
channel.unref();

if (isMainThread) {
  process.on('SIGUSR2', () => channel.postMessage('die'));
  process.on('SIGHUP', () => channel.postMessage('reconcile'));
} else if ((workerData as Partial<DockerWorkerData> | null)?.driver !== undefined) {
  const { Reconciler } = await import('../../../workers/docker/reconciler.js');
  const reconcilers: ReconcilerType[] = []; // one a thread
  const { start } = Object.getOwnPropertyDescriptors(Reconciler.prototype);
  Reconciler.prototype.start = function (this: ReconcilerType): void {
    if (!reconcilers.includes(this)) reconcilers.push(this);
    start.value?.call(this);
  };
  channel.onmessage = ({ data }: { data: unknown }) => {
    if (data === 'reconcile') {
      for (const reconciler of reconcilers) {
        reconciler.close(); // its own clock stops: from now on it happens when a test wants it
        void reconciler.reconcile();
      }
    } else {
      // Not from here: what a handler of a channel throws is an event of its own.
      setImmediate(() => {
        throw new Error('chaos: the docker thread dies');
      });
    }
  };
}

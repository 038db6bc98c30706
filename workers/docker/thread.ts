/** The docker thread behind its doorway: driver, registry and reconciler put together, and what it answers. Docker thread. */
import type { Logger } from '../../src/log.js';
import { registry } from '../../src/metrics.js';
import { Channel, type Contract, type PortLike } from '../../src/threads/channel.js';
import { DockerDriver } from './docker-driver.js';
import type { SandboxDriver } from './driver.js';
import type { DockerControl, DockerWorkerData, LeaseRequest, LeaseResult } from './messages.js';
import { ProcessDriver } from './process-driver.js';
import { Reconciler } from './reconcile.js';
import { Sandboxes } from './sandboxes.js';

/** Nobody is asked by this thread. */
interface Nothing extends Contract {
  requests: Record<string, never>;
  notifications: Record<string, never>;
}

export interface DockerThread {
  lease(request: LeaseRequest): Promise<LeaseResult>;
}

/** Sweeps what an earlier run of this instance left, first of all, and serves `control` from now on. */
export function startDockerThread(data: DockerWorkerData, control: PortLike, log: Logger): DockerThread {
  const { config, instance } = data;
  const driver: SandboxDriver =
    data.driver === 'docker' ? new DockerDriver(config, instance, log) : new ProcessDriver(config, instance, log);
  const sandboxes = new Sandboxes({ config, instance, driver, log });
  const reconciler = new Reconciler({ driver, isKnown: (name) => sandboxes.isKnown(name), log });
  const channel = new Channel<DockerControl, Nothing>(control);
  channel.handle(
    {
      'release-sandbox': async ({ sandbox }) => {
        await sandboxes.release(sandbox);
        return null;
      },
      'release-session': async ({ session }) => ({ released: await sandboxes.releaseSession(session) }),
      'sweep-leftovers': async () => ({ removed: await reconciler.sweep() }),
      'close-sandboxes': async () => {
        reconciler.close();
        return { removed: await sandboxes.close() };
      },
      'collect-metrics': async () => ({ metrics: await registry.getMetricsAsJSON() }),
    },
    {},
  );
  reconciler.start();
  return { lease: (request) => sandboxes.lease(request) };
}

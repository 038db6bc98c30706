/** Entry of the docker thread: a Piscina worker whose only task is `lease-sandbox`; all else comes over the control port. */
import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { createLog } from '../../src/shared/log.js';
import { logWarnings } from '../../src/shared/node-words.js';
import { watchThread } from '../../src/shared/metrics.js';
import { DOCKER_SLOT, startBeat } from '../../src/shared/threads/loop-watch.js';
import { toTaskResult, type TaskResult } from '../../src/shared/threads/task-result.js';
import type { DockerControlMessage, DockerWorkerData, LeaseRequest, LeaseResult } from './contract/messages.js';
import { startDockerThread } from './thread.js';

const data = workerData as DockerWorkerData;
const { port1, port2 } = new MessageChannel();
watchThread('docker');
startBeat(DOCKER_SLOT);
const log = createLog('docker', data.config.logLevel);
logWarnings(log);
const thread = startDockerThread(data, port1, log);
parentPort?.postMessage({ control: port2 } satisfies DockerControlMessage, [port2]);

function leaseSandbox(request: LeaseRequest): Promise<TaskResult<LeaseResult>> {
  return toTaskResult(() => thread.lease(request));
}

export { leaseSandbox as 'lease-sandbox' };

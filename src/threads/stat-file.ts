/** Asks the docker thread what a file is, without its bytes. Main thread. */
import { MessageChannel } from 'node:worker_threads';
import type { StatFileRequest, StatFileResult } from '../../workers/docker/contract/files.js';
import type { DockerPool } from './docker-pool.js';

/** Errors as DockerTasks['open-file']. */
export async function statFile(docker: Pick<DockerPool, 'run'>, request: StatFileRequest): Promise<StatFileResult> {
  const { port1, port2 } = new MessageChannel();
  try {
    return await docker.run('open-file', { ...request, port: port2 }, [port2]);
  } finally {
    port1.close(); // the other end gives the file up
  }
}

/**
 * Loaded into the server's process before it starts (`node --import`), in every thread: the first agent thread serves, and
 * dies when the boot tells it to go on with what was cut, once. `DIED_MARK` names the file that says that it has.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { AgentWorkerData } from '../../../workers/agent/contract/lifecycle.js';

const mark = process.env['DIED_MARK'] ?? '';

if (!isMainThread && (workerData as Partial<AgentWorkerData> | null)?.index === 0 && !existsSync(mark)) {
  parentPort?.on('message', ({ name }: { name?: string }) => {
    if (name !== 'resume') return;
    writeFileSync(mark, '');
    throw new Error('the agent thread dies at the boot');
  });
}

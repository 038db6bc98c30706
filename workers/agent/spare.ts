/**
 * The entry of a spare agent thread: it loads the modules, which is nearly all of a start's time, and opens nothing. When it is
 * told which thread it replaces, it becomes that thread. Agent thread.
 */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import './store/open.js';
import './thread/agent-thread.js';
import { loadUrlPart } from './mcp/url-servers.js';
import type { AgentWorkerData } from './contract/lifecycle.js';
import './model/anthropic.js';
import './model/create-model.js';

/** Tells the spare which thread it becomes, with the configuration of now. */
export type TakePlace = Pick<AgentWorkerData, 'index' | 'config' | 'slots'>;

await loadUrlPart((workerData as AgentWorkerData).config);
if (!parentPort) throw new Error('workers/agent runs as a worker thread');
parentPort.postMessage('loaded');
const [place] = (await once(parentPort, 'message')) as [TakePlace];
parentPort.ref(); // `once` has unreferenced the port, and index.ts listens only when the store is open
Object.assign(workerData as AgentWorkerData, place);
await import('./index.js');

/**
 * An agent thread in waiting: its modules are loaded, nothing is open. Told whose place it takes, it becomes that thread.
 * Loading is nearly all of what a start costs. Agent thread.
 */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import './store/open.js';
import './thread/agent-thread.js';
import { loadUrlPart } from './mcp/url-servers.js';
import type { AgentWorkerData } from './contract/lifecycle.js';
import './model/anthropic.js';
import './model/create-model.js';

/** What the main thread says when it is needed. */
export type TakePlace = Pick<AgentWorkerData, 'index'>;

await loadUrlPart((workerData as AgentWorkerData).config);
if (!parentPort) throw new Error('workers/agent runs as a worker thread');
parentPort.postMessage('loaded');
const [place] = (await once(parentPort, 'message')) as [TakePlace];
parentPort.ref(); // `once` has let go of it, and the doorway listens only when the store is open
Object.assign(workerData as AgentWorkerData, place);
await import('./index.js');

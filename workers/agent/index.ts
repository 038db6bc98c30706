/** The entry of an agent thread: opens the store and creates the model, then serves its port. Agent thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { errorToData } from '../../src/shared/errors.js';
import { LiveSettings } from '../../src/shared/live-settings.js';
import { createLog, setLogLevel } from '../../src/shared/log.js';
import { logWarnings } from '../../src/shared/node-words.js';
import { histogram, SECONDS_FAST, watchThread } from '../../src/shared/metrics.js';
import { openAuditBox } from './log/audit-box.js';
import { openStore } from './store/open.js';
import { countingOf } from './store/quota-counters.js';
import { Channel } from '../../src/shared/threads/channel.js';
import { agentSlot, startBeat } from '../../src/shared/threads/loop-watch.js';
import { AgentThread } from './thread/agent-thread.js';
import { loadUrlPart } from './mcp/url-servers.js';
import type { AgentContract, AgentHostContract } from './contract/messages.js';
import type { AgentWorkerData } from './contract/lifecycle.js';
import { createModel } from './model/create-model.js';
import { ModelHealth } from './model/model-health.js';

const data = workerData as AgentWorkerData;
if (!parentPort) throw new Error('workers/agent runs as a worker thread');
const thread = `agent-${data.index}`;
const log = createLog(thread, data.config.logLevel);
logWarnings(log);
const channel = new Channel<AgentContract, AgentHostContract>(parentPort);
const live = new LiveSettings(data.config);
live.onChange(({ logLevel }) => setLogLevel(logLevel));
const watch = watchThread(thread);
const auditBox = openAuditBox(data.config.audit, channel);
const beat = startBeat(agentSlot(data.index));
const storeSeconds = histogram('fairlead_store_seconds', 'Store operations', SECONDS_FAST, ['operation']);

try {
  const counting = countingOf(data.config);
  // Held by the store, which counts with each step: what is counted anew begins with a session's next one, as after a restart.
  live.onChange((config) => void Object.assign(counting, countingOf(config)));
  const store = await openStore(data.store, data.config, {
    owner: data.instance,
    counting,
    observe: (operation, seconds) => storeSeconds.observe({ operation }, seconds),
    onError: (operation, error) => log.warn({ operation, err: errorToData(error).message }, 'store'),
  });
  const createUrlPart = await loadUrlPart(data.config);
  const modelHealth = new ModelHealth((why) => channel.notify('model-health', { thread: data.index, why }));
  const model = createModel(data.model, live.view, modelHealth);
  const onClosed = (): void => {
    auditBox.close();
    watch.close();
    beat.close();
    parentPort?.close();
  };
  new AgentThread({ data, live, channel, store, model, log, createUrlPart, onClosed }).serve();
  setImmediate(() => void model.warmUp?.()); // after `ready` has left
} catch (error) {
  const { code, message } = errorToData(error);
  channel.notify('start-failed', { code, message });
  watch.close();
  beat.close();
  parentPort.close();
}

/** The stand-in model of this bench in a process of its own: answers as the script says, and shows its first request. */
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import { startModelServer } from '../../test/helpers/model-server.js';
import type { ModelNews } from './messages.js';
import { replyTo, type Pace } from './script.js';

let pace = JSON.parse(process.argv[2] ?? '{}') as Pace;
let isFirst = true;

function tell(news: ModelNews): void {
  if (process.connected) process.send?.(news);
}

const server = await startModelServer({
  keep: 0,
  script: ({ body }) => {
    if (isFirst) tell({ type: 'first-request', body: body as unknown as MessageCreateParamsStreaming });
    isFirst = false;
    return replyTo(body, pace);
  },
});

process.on('message', (next: Pace) => (pace = next));
// Ignored, since a Ctrl-C reaches the whole group: the bench ends its processes in order.
process.on('SIGINT', () => undefined);
function end(): void {
  for (const violation of new Set(server.violations)) console.error(`the model was asked wrongly: ${violation}`);
  process.exit();
}
process.once('SIGTERM', end);
process.once('disconnect', end);
tell({ type: 'listening', url: server.url });

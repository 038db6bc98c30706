/** The stand-in model in its own process; what it answers is named by the first word that a person says. */
import { setTimeout as delay } from 'node:timers/promises';
import { lastText, offeredTool, startModelServer, text, tool, toolResults } from '../../test/helpers/model-server.js';
import type { ModelServer, Reply, Script } from '../../test/helpers/model-server.js';
import type { ModelContract } from './messages.js';
import { PRINT } from './print.js';
import { serve, watchUtilisation } from './serve.js';

/** The real model's delta is about a token. */
const TOKEN = 'token ';
const SHORT_TOKENS = 20;
const LONG_TOKENS = 400;
const TOKENS_PER_SECOND = 10_000;
const TICK_MS = 5;
/** A kind's word stands at the front: a frame may be a megabyte long. */
const MAX_WORD = 16;

const server: ModelServer = await startModelServer({ keep: 0, script: answer });
const utilisation = watchUtilisation();

serve<ModelContract>({
  open: () => Promise.resolve({ url: server.url }),
  look: () => Promise.resolve({ utilisation: utilisation(), violations: server.violations.splice(0) }),
});

function answer({ body }: Parameters<Script>[0]): Reply {
  if (toolResults(body).length > 0) return text('done');
  const [kind] = lastText(body).slice(0, MAX_WORD).split(' ');
  switch (kind) {
    case 'lease':
      return tool(offeredTool(body, 'run_command') ?? 'run_command', { command: 'true' });
    case 'output':
      return tool(offeredTool(body, 'run_command') ?? 'run_command', { command: PRINT });
    case 'frames':
      // Never answered: the line of this session stays full, and what else comes is refused.
      return { gate: new Promise(() => undefined) };
    case 'deltas':
      return { chunk: TOKEN.length, blocks: [{ text: endlessTokens() }] };
    default:
      return { chunk: TOKEN.length, blocks: [{ text: TOKEN.repeat(kind === 'long' ? LONG_TOKENS : SHORT_TOKENS) }] };
  }
}

/** A tick that comes late makes up for it. The server leaves it where it is when the client has gone. */
async function* endlessTokens(): AsyncGenerator<string> {
  const startedAt = performance.now();
  let sent = 0;
  for (;;) {
    await delay(TICK_MS);
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * TOKENS_PER_SECOND) - sent;
    if (due <= 0) continue;
    sent += due;
    yield TOKEN.repeat(due);
  }
}

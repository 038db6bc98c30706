/** The stand-in model in a process of its own; the first word of the user's message names the answer. */
import { setTimeout as delay } from 'node:timers/promises';
import { lastText, offeredTool, startModelServer, text, tool, toolResults } from '../../test/helpers/model-server.js';
import type { ModelServer, Reply, Script } from '../../test/helpers/model-server.js';
import type { ModelContract } from './messages.js';
import { PRINT } from './print.js';
import { serve, watchUtilisation } from './serve.js';

/** A real model's delta is about a token. */
const TOKEN = 'token ';
const SHORT_TOKENS = 20;
const LONG_TOKENS = 400;
const TOKENS_PER_SECOND = 10_000;
const TICK_MS = 5;
/** The word is searched at the front only: a message may be a megabyte long. */
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
      // Never answered: the session's queue stays full, and further messages are refused.
      return { gate: new Promise(() => undefined) };
    case 'deltas':
      return { chunk: TOKEN.length, blocks: [{ text: endlessTokens() }] };
    default:
      return { chunk: TOKEN.length, blocks: [{ text: TOKEN.repeat(kind === 'long' ? LONG_TOKENS : SHORT_TOKENS) }] };
  }
}

/** A late tick catches up. The server stops it when the client has gone. */
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

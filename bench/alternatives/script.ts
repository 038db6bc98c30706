/** The conversations: what people say, and what the stand-in model answers. Pure; every process of this bench. */
import {
  lastText,
  offeredTool,
  toolResults,
  type Block,
  type Reply,
  type RequestBody,
} from '../../test/helpers/model-replies.js';
import type { Ask } from './messages.js';

/** The model's own time to its first token. */
export const MODEL_DELAY_MS = 20;
export const TOKENS = 20;
export const GAP_MS = 5;

const TOKEN = 'token ';

export const ANSWER = TOKEN.repeat(TOKENS);
export const HOLD = 'hold: stop after the first token';

export function askText(ask: Ask, turn: number): string {
  return `${ask}: this is message ${turn} of the conversation`;
}

/** `file`: what a session without a sandbox looks at. `released`: until then held answers stop after their first token. */
export function replyTo(body: RequestBody, file: string, released: Promise<unknown>): Reply {
  return { blocks: blocksFor(body, file, released), chunk: TOKEN.length, delayMs: MODEL_DELAY_MS, gapMs: GAP_MS };
}

/** A client of the model may put words of its own before the person's. */
function blocksFor(body: RequestBody, file: string, released: Promise<unknown>): Block[] {
  if (toolResults(body).length > 0) return [{ text: ANSWER }];
  const said = lastText(body);
  if (/^look:/m.test(said)) return [lookFor(body, file)];
  if (said.includes(HOLD)) return [{ text: heldText(released) }];
  return [{ text: ANSWER }];
}

async function* heldText(released: Promise<unknown>): AsyncGenerator<string> {
  yield TOKEN;
  await released;
  yield TOKEN.repeat(TOKENS - 1);
}

function lookFor(body: RequestBody, file: string): Block {
  const list = offeredTool(body, 'list_files');
  if (list !== undefined) return { tool: list, input: { path: '/workspace' } };
  const read = offeredTool(body, 'Read');
  if (read !== undefined) return { tool: read, input: { file_path: file } };
  throw new Error('no tool is offered that looks at files');
}

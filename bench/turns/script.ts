/** The conversations: what users say and when, and what the stand-in model answers. Pure; every process of this bench. */
import {
  lastText,
  offeredTool,
  toolResults,
  type Block,
  type Reply,
  type RequestBody,
} from '../../test/helpers/model-replies.js';

export interface Pace {
  /** From the end of a turn to the next message, on average. */
  thinkMs: number;
  /** The model's own time to its first token. */
  modelDelayMs: number;
  tokens: number;
  gapMs: number;
  /** Time from a question to the user's approval. */
  approveMs: number;
  /** After as many turns the user leaves and comes back with a new session. */
  turnsPerSession: number;
  /** A turn that has not ended by then is an error. */
  turnTimeoutMs: number;
}

/** `look`: a read-only tool, which runs without approval. `write`: one that needs it. */
export type Ask = 'talk' | 'look' | 'write';

/** `at once`: begins without thinking, so that the container is there before anything is measured. */
export type ToolUse = 'never' | 'now and then' | 'at once';

const TOOL_ASKS: readonly Ask[] = ['look', 'write', 'talk', 'talk'];
const TOKEN = 'token ';

/** What a user says next, and after how long: deterministic. */
export class Script {
  readonly #tools: ToolUse;
  readonly #thinkMs: number;
  #state: number;
  #said = 0;

  constructor(person: number, pace: Pace, tools: ToolUse) {
    this.#state = person * 2_654_435_761 + 1;
    this.#thinkMs = pace.thinkMs;
    this.#tools = tools;
  }

  next(): Ask {
    const ask = this.#tools !== 'never' ? TOOL_ASKS[this.#said % TOOL_ASKS.length] : 'talk';
    this.#said++;
    return ask ?? 'talk';
  }

  /** Exponential, so that users are not in step with one another. */
  thinkMs(): number {
    if (this.#tools === 'at once' && this.#said === 0) return 0;
    return -this.#thinkMs * Math.log(1 - this.#random());
  }

  /** mulberry32, 0 to 1. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
}

export function askText(ask: Ask, turn: number): string {
  return `${ask}: this is message ${turn} of the conversation`;
}

/** The text that ends every turn. */
export function answerText({ tokens }: Pace): string {
  return TOKEN.repeat(tokens).trimEnd();
}

export function replyTo(body: RequestBody, pace: Pace): Reply {
  const { modelDelayMs: delayMs, gapMs } = pace;
  return { blocks: blocksFor(body, pace), chunk: TOKEN.length, delayMs, gapMs };
}

function blocksFor(body: RequestBody, pace: Pace): Block[] {
  const answer = [{ text: answerText(pace) }];
  if (toolResults(body).length > 0) return answer;
  const said = lastText(body);
  if (said.startsWith('look:')) return withCall(body, 'list_files', { path: '/workspace' });
  if (said.startsWith('write:')) return withCall(body, 'write_file', { path: 'notes.txt', content: said });
  return answer;
}

function withCall(body: RequestBody, name: string, input: Record<string, unknown>): Block[] {
  const tool = offeredTool(body, name);
  if (tool === undefined) throw new Error(`the tool ${name} is not offered`);
  return [{ text: 'I will see' }, { tool, input }];
}

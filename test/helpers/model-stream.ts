/** Writes one reply of the stand-in model: as the Messages API's event stream, or as one JSON body. Runs in tests. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { ApiError, Block, Reply, ReplyText, RequestBody, Step } from './model-replies.js';

const DEFAULT_CHUNK = 16;
/** Deltas without a gap leave as one write of about this size: two hundred streams share one core with the program under test. */
const WRITE_BYTES = 16_384;

/** What a reply became: `cut` is ours, `aborted` the client's. */
export type Ending = 'finished' | 'cut' | 'aborted' | 'errored';

export interface SentBlock {
  type: 'text' | 'thinking' | 'redacted_thinking' | 'tool_use';
  [key: string]: unknown;
}

export interface Sent {
  ending: Ending;
  blocks: SentBlock[];
}

let nextId = 1;
export const newId = (prefix: string): string => `${prefix}_standin${String(nextId++).padStart(8, '0')}`;

/** A signature the stand-in can stand for: the same for the same thinking. */
export const signatureOf = (thinking: string): string => createHash('sha256').update(thinking).digest('base64');

/** Writes pieces with their pace, counts deltas, and knows when the client has gone. */
class Pen {
  readonly #response: ServerResponse;
  readonly #reply: Reply;
  readonly #gone: Promise<void>;
  #wake: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #buffer = '';
  #deltas = 0;
  ending: Ending = 'finished';

  constructor(response: ServerResponse, reply: Reply) {
    this.#response = response;
    this.#reply = reply;
    this.#gone = new Promise((resolve) => {
      response.once('close', () => {
        if (!response.writableFinished && this.ending === 'finished') this.ending = 'aborted';
        clearTimeout(this.#timer);
        this.#wake?.();
        resolve();
      });
    });
  }

  get over(): boolean {
    return this.ending !== 'finished';
  }

  async wait(ms: number): Promise<void> {
    if (ms <= 0 || this.over) return;
    this.flush();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, ms);
    });
    this.#wake = undefined;
  }

  /** A gate of the test's: left when it opens or when the client goes. */
  async hold(gate: Promise<unknown> | undefined): Promise<void> {
    if (gate === undefined || this.over) return;
    this.flush();
    await Promise.race([gate, this.#gone]);
  }

  event(type: string, fields: Record<string, unknown>): void {
    if (this.over) return;
    this.#buffer += `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    if (this.#buffer.length >= WRITE_BYTES) this.flush();
  }

  async delta(index: number, delta: Record<string, unknown>): Promise<void> {
    if (this.over) return;
    if (this.#deltas > 0 && this.#reply.gapMs !== undefined) await this.wait(this.#reply.gapMs);
    this.event('content_block_delta', { index, delta });
    this.#deltas++;
    if (this.#reply.gapMs !== undefined) this.flush();
    if (this.#deltas === this.#reply.cutAfter) await this.cut();
  }

  flush(): void {
    if (this.#buffer === '' || this.#response.destroyed) return;
    this.#response.write(this.#buffer);
    this.#buffer = '';
  }

  /** What was written is still delivered; then the socket is gone without an end. */
  async cut(): Promise<void> {
    if (this.over) return;
    this.ending = 'cut';
    const rest = this.#buffer;
    this.#buffer = '';
    await Promise.race([
      new Promise<void>((resolve) => this.#response.write(rest || '\n', () => resolve())),
      this.#gone,
    ]);
    this.#response.socket?.destroy();
  }

  end(): void {
    this.flush();
    this.#response.end();
  }
}

export async function writeStream(response: ServerResponse, reply: Reply, body: RequestBody): Promise<Sent> {
  const pen = new Pen(response, reply);
  const sent: SentBlock[] = [];
  await pen.hold(reply.gate);
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const usage = { ...inputUsage(reply, body), output_tokens: 1 };
  pen.event('message_start', { message: { ...envelope(body), content: [], stop_reason: null, usage } });
  pen.event('ping', {});
  await pen.wait(reply.delayMs ?? 0);
  for await (const step of flushing<Step>(reply.blocks ?? [], pen)) {
    if (pen.over) break;
    if ('ping' in step) pen.event('ping', {});
    else if ('cut' in step) await pen.cut();
    else if ('error' in step) {
      pen.event('error', { error: step.error });
      pen.flush();
      pen.ending = 'errored';
    } else {
      await pen.hold(step.gate);
      sent.push(await writeBlock(pen, step, sent.length, reply.chunk ?? DEFAULT_CHUNK));
    }
  }
  if (pen.over) {
    if (pen.ending === 'errored') pen.end();
    return { ending: pen.ending, blocks: sent };
  }
  pen.event('message_delta', {
    delta: { stop_reason: stopReason(reply, sent), stop_sequence: null, stop_details: null, container: null },
    usage: { ...inputUsage(reply, body), output_tokens: outputTokens(reply, sent) },
  });
  pen.event('message_stop', {});
  pen.end();
  return { ending: pen.ending, blocks: sent };
}

/** One JSON body, for a request without `stream`. Resolves when it is written or the client has gone. */
export async function writeJson(response: ServerResponse, reply: Reply, body: RequestBody): Promise<Sent> {
  const pen = new Pen(response, reply);
  await pen.hold(reply.gate);
  await pen.wait(reply.delayMs ?? 0);
  const sent: SentBlock[] = [];
  let failed: ApiError | undefined;
  for await (const step of flushing<Step>(reply.blocks ?? [], pen)) {
    if (pen.over) break;
    if ('ping' in step) continue;
    if ('cut' in step) await pen.cut();
    else if ('error' in step) failed = step.error;
    else {
      await pen.hold(step.gate);
      sent.push(await wholeBlock(step));
    }
    if (failed) break;
  }
  if (pen.over) return { ending: pen.ending, blocks: sent };
  if (failed) {
    sendJson(response, 500, { type: 'error', error: failed });
    return { ending: 'errored', blocks: sent };
  }
  const usage = { ...inputUsage(reply, body), output_tokens: outputTokens(reply, sent) };
  sendJson(response, 200, { ...envelope(body), content: sent, stop_reason: stopReason(reply, sent), usage });
  return { ending: pen.ending, blocks: sent };
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const json = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
  response.end(json);
}

/** Reads what the test yields: what is written so far leaves before each wait, and a client that goes ends the reading. */
async function* flushing<T>(source: T[] | AsyncIterable<T>, pen: Pen): AsyncGenerator<T> {
  if (Array.isArray(source)) {
    yield* source;
    return;
  }
  const items = source[Symbol.asyncIterator]();
  for (;;) {
    const next = items.next();
    await pen.hold(next);
    if (pen.over) return; // the generator stays where it is: it belongs to the test
    const result = await next;
    if (result.done === true) return;
    yield result.value;
  }
}

async function writeBlock(pen: Pen, block: Block, index: number, chunk: number): Promise<SentBlock> {
  if ('text' in block) {
    pen.event('content_block_start', { index, content_block: { type: 'text', text: '', citations: null } });
    const value = await writeText(pen, block.text, chunk, (text) => pen.delta(index, { type: 'text_delta', text }));
    pen.event('content_block_stop', { index });
    return { type: 'text', text: value };
  }
  if ('thinking' in block) {
    pen.event('content_block_start', { index, content_block: { type: 'thinking', thinking: '', signature: '' } });
    const thinking = await writeText(pen, block.thinking, chunk, (text) =>
      pen.delta(index, { type: 'thinking_delta', thinking: text }),
    );
    const signature = block.signature ?? signatureOf(thinking);
    await pen.delta(index, { type: 'signature_delta', signature });
    pen.event('content_block_stop', { index });
    return { type: 'thinking', thinking, signature };
  }
  if ('redacted' in block) {
    const content: SentBlock = { type: 'redacted_thinking', data: block.redacted };
    pen.event('content_block_start', { index, content_block: content });
    pen.event('content_block_stop', { index });
    return content;
  }
  const start: SentBlock = { type: 'tool_use', id: block.id ?? newId('toolu'), name: block.tool, input: {} };
  pen.event('content_block_start', { index, content_block: start });
  const json = 'inputJson' in block ? block.inputJson : JSON.stringify(block.input);
  await pen.delta(index, { type: 'input_json_delta', partial_json: '' }); // the real API opens with an empty one
  await writeText(pen, json, chunk, (text) => pen.delta(index, { type: 'input_json_delta', partial_json: text }));
  pen.event('content_block_stop', { index });
  return { ...start, input: 'inputJson' in block ? block.inputJson : block.input };
}

/** Pieces of `chunk` UTF-16 units; a surrogate pair is never split, as the real API never does. Returns what was written. */
async function writeText(
  pen: Pen,
  source: ReplyText,
  chunk: number,
  write: (text: string) => Promise<void>,
): Promise<string> {
  let whole = '';
  for await (const piece of flushing(typeof source === 'string' ? [source] : source, pen)) {
    for (let from = 0; from < piece.length && !pen.over;) {
      let to = Math.min(piece.length, from + Math.max(1, chunk));
      if (to < piece.length && isHighSurrogate(piece.charCodeAt(to - 1))) to++;
      await write(piece.slice(from, to));
      from = to;
    }
    whole += piece;
    if (pen.over) break;
  }
  return whole;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

async function wholeBlock(block: Block): Promise<SentBlock> {
  if ('text' in block) return { type: 'text', text: await collect(block.text) };
  if ('thinking' in block) {
    const thinking = await collect(block.thinking);
    return { type: 'thinking', thinking, signature: block.signature ?? signatureOf(thinking) };
  }
  if ('redacted' in block) return { type: 'redacted_thinking', data: block.redacted };
  const input = 'inputJson' in block ? block.inputJson : block.input;
  return { type: 'tool_use', id: block.id ?? newId('toolu'), name: block.tool, input };
}

async function collect(source: ReplyText): Promise<string> {
  if (typeof source === 'string') return source;
  let whole = '';
  for await (const piece of source) whole += piece;
  return whole;
}

function envelope(body: RequestBody): Record<string, unknown> {
  return {
    id: newId('msg'),
    type: 'message',
    role: 'assistant',
    model: body.model,
    stop_sequence: null,
    stop_details: null,
    container: null,
  };
}

function stopReason(reply: Reply, sent: SentBlock[]): string {
  return reply.stopReason ?? (sent.some((block) => block.type === 'tool_use') ? 'tool_use' : 'end_turn');
}

function inputUsage(reply: Reply, body: RequestBody): Record<string, unknown> {
  return {
    input_tokens: reply.usage?.input_tokens ?? 10 * body.messages.length,
    cache_creation_input_tokens: reply.usage?.cache_creation_input_tokens ?? 0,
    cache_read_input_tokens: reply.usage?.cache_read_input_tokens ?? 0,
  };
}

/** About four characters a token, as a person would guess. */
function outputTokens(reply: Reply, sent: SentBlock[]): number {
  if (reply.usage?.output_tokens !== undefined) return reply.usage.output_tokens;
  let characters = 0;
  for (const block of sent) {
    const said = block['text'] ?? block['thinking'];
    characters += (typeof said === 'string' ? said.length : 0) + 8;
  }
  return Math.max(1, Math.round(characters / 4));
}

/**
 * Reads the events of an answer from the body of a response. Gateways to other models differ from the Messages API in form: the
 * bytes decide, not the `Content-Type`. Agent threads.
 */
import { createParser } from 'eventsource-parser';
import type { Json } from './answer-builder.js';
import { isObject } from './clean-blocks.js';
import { brokeOff, modelError } from './model-errors.js';

const CR = 13;
const LF = 10;
const OPENING_BRACE = '{'.charCodeAt(0);
const LESS_THAN = '<'.charCodeAt(0);
/** What begins no event: spaces, line ends, a byte order mark. */
const BLANK = new Set([0x20, 0x09, CR, LF, 0xef, 0xbb, 0xbf]);
const EVENT_END = Buffer.from('\n\n');

export type AnswerEvent = Json & { type: string };

/** `event` is null where the stream does not name it. */
interface ServerSentEvent {
  event: string | null;
  data: string;
}

export interface OpenOptions {
  /** Of the whole answer. */
  maxBytes: number;
  /** Called for all that comes, comments too: any byte is a sign of life. */
  onBytes: () => void;
}

/** The events of one answer, one after the other. */
export class AnswerEvents {
  readonly #bytes: AnswerBytes;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({ onEvent: ({ event = null, data }) => this.#take(event, data) });
  /** What came together, oldest first. */
  #read: ServerSentEvent[] = [];

  private constructor(bytes: AnswerBytes, read: ServerSentEvent[] = []) {
    this.#bytes = bytes;
    this.#read = read;
  }

  /** Resolves when the answer has begun. */
  static async open(response: Response, options: OpenOptions): Promise<AnswerEvents> {
    const bytes = new AnswerBytes(response.body as unknown as AsyncIterable<Uint8Array>, options);
    const first = await bytes.begin();
    // Nobody asked for a page: a proxy's, or a login's.
    if (first === LESS_THAN) throw notAnAnswer(response);
    return new AnswerEvents(bytes, first === OPENING_BRACE ? jsonEvents(await bytes.text()) : []);
  }

  /** Undefined at the end. */
  async next(): Promise<ServerSentEvent | undefined> {
    while (this.#read.length === 0) {
      const { done, value } = await this.#bytes.next();
      if (done) return undefined;
      this.#parser.feed(this.#decoder.decode(value, { stream: true }));
    }
    return this.#read.shift();
  }

  /** Events whose empty line is missing come as one with many lines of data: each line that says its type is one. */
  #take(event: string | null, data: string): void {
    const lines = data.split('\n');
    if (lines.length === 1 || isJson(data) || !lines.some(isJson)) this.#read.push({ event, data });
    else for (const line of lines) this.#read.push({ event: null, data: line });
  }
}

/** For an answer that holds nothing of the Messages API. */
export function notAnAnswer({ headers }: Response, isEmpty = false): Error {
  const type = headers.get('content-type') ?? '';
  const isStream = /^\s*text\/event-stream\b/i.test(type);
  if (isEmpty && (isStream || type === '')) return brokeOff();
  if (isStream) return modelError('the model’s API answered with a stream that is not of the Messages API');
  return modelError(`the model’s API answered with ${type.slice(0, 100) || 'something'} in place of a stream`);
}

/** OpenAI's last line: gateways that translate send it behind the API's events. */
export const END = 'end of the stream';

/** Those that carry the answer: one that cannot be read leaves a gap in it. */
const OF_ANSWER = new Set([
  'message_start',
  'content_block_start',
  'content_block_delta',
  'content_block_stop',
  'message_delta',
  'message_stop',
]);
const UNNAMED = new Set([null, '', 'message']);

/** What an event says: `type` is always a string. Undefined when it says nothing. Throws where a part of the answer is no JSON. */
export function readEvent({ event, data }: ServerSentEvent): AnswerEvent | undefined {
  if (data === '') return undefined;
  if (data.trim() === '[DONE]') return { type: END };
  const json = parse(data);
  if (json === undefined) {
    if (event === 'error') return { type: 'error', error: data };
    // Signs of life have words of their own.
    const isOfAnswer = UNNAMED.has(event) ? data.trimStart().startsWith('{') : OF_ANSWER.has(event!);
    if (isOfAnswer) throw brokeOff();
    return undefined;
  }
  if (!isObject(json)) return undefined;
  // Some streams have data alone, so the type in the data counts. An error may come without one, or without its envelope.
  if (event === 'error' || (typeof json['type'] !== 'string' && isObject(json['error']))) {
    return { type: 'error', error: json['error'] ?? json };
  }
  const type = typeof json['type'] === 'string' ? json['type'] : event;
  return type === null ? undefined : Object.assign(json, { type });
}

/** One JSON object, or one a line: an answer that is not streamed, or events without their frame. */
function jsonEvents(text: string): ServerSentEvent[] {
  const whole = isJson(text) ? [text] : text.split('\n');
  return whole.map((data) => ({ event: null, data: data.trim() }));
}

function isJson(text: string): boolean {
  return parse(text) !== undefined;
}

/** Undefined for what is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the callers decide what that means
  }
}

/**
 * The body's bytes, counted, with the line ends `\r\n` and `\r` as `\n`: a reader waits behind a `\r` for what follows,
 * which may be nothing. The last event ends with the body, also without its empty line.
 */
class AnswerBytes implements AsyncIterator<Uint8Array, undefined> {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #options: OpenOptions;
  /** Read by `begin`, and not handed on yet. */
  readonly #kept: Uint8Array[] = [];
  #bytes = 0;
  #endsWithCR = false;
  #ended = false;

  constructor(body: AsyncIterable<Uint8Array>, options: OpenOptions) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** The first byte that is not blank; undefined for an empty body. */
  async begin(): Promise<number | undefined> {
    for (;;) {
      const next = await this.#read();
      if (next === undefined) return undefined;
      this.#kept.push(next);
      const first = next.find((byte) => !BLANK.has(byte));
      if (first !== undefined) return first;
    }
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const value = this.#kept.shift() ?? (await this.#read());
    if (value !== undefined) return { done: false, value };
    if (this.#ended) return { done: true, value };
    this.#ended = true;
    return { done: false, value: EVENT_END };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#chunks.return?.();
    return { done: true, value: undefined };
  }

  async text(): Promise<string> {
    const chunks: Uint8Array[] = [];
    for (let next = await this.next(); !next.done; next = await this.next()) chunks.push(next.value);
    return new TextDecoder().decode(Buffer.concat(chunks));
  }

  async #read(): Promise<Uint8Array | undefined> {
    const next = await this.#chunks.next();
    if (next.done) return undefined;
    const { maxBytes, onBytes } = this.#options;
    onBytes();
    this.#bytes += next.value.length;
    if (this.#bytes > maxBytes) {
      await this.return();
      throw modelError(`the model’s answer has more than ${maxBytes / 1024 / 1024} MB`);
    }
    return this.#endsWithCR || next.value.includes(CR) ? this.#withLineFeeds(next.value) : next.value;
  }

  #withLineFeeds(chunk: Uint8Array): Uint8Array {
    const out = new Uint8Array(chunk.length);
    let length = 0;
    for (const byte of chunk) {
      // The `\n` of a `\r\n`, which has become one already.
      if (!(byte === LF && this.#endsWithCR)) out[length++] = byte === CR ? LF : byte;
      this.#endsWithCR = byte === CR;
    }
    return out.subarray(0, length);
  }
}

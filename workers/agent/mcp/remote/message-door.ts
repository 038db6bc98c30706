/**
 * Reads the messages in the responses of a `url` server before the SDK's transport does: it would refuse what is not quite by
 * the book. In place of an answer the transport gets a short one, so that a long one is parsed once. Agent threads.
 */
import type { JSONRPCMessage, RequestId } from '@modelcontextprotocol/client';
import { cutText } from '../../../../src/shared/cut-text.js';
import { isRecord } from '../../../../src/shared/loose.js';
import { answeredId, parseMessage } from '../../../../src/shared/mcp-lines.js';
import { droppedAnswer, McpReader } from '../../../../src/shared/mcp-reader.js';
import { mediaType } from '../../http/http.js';
import { SseEvents, sseText, type SseEvent } from './sse-events.js';

const STREAM = 'text/event-stream';
const JSON_TYPE = 'application/json';
/** Begins like an event, whatever its type says. */
const EVENT = /^\uFEFF?(?:data|event|id|retry)?:/;
const MAX_SHOWN = 100;
/** Events that are no messages. */
const ENDPOINT = 'endpoint';

export class MessageDoor {
  readonly #reader = new McpReader();
  /** Answers for which the SDK's transport has a short one, by the number in it. */
  readonly #held = new Map<number, JSONRPCMessage>();
  #next = 0;

  noteSent(message: JSONRPCMessage): void {
    this.#reader.noteSent(message);
  }

  forget(id: RequestId): void {
    this.#reader.forget(id);
  }

  /** `of`: the request whose response it is; absent for a stream of many. */
  async admit(response: Response, of?: RequestId): Promise<Response> {
    if (!response.ok || (response.status === 204 && of === undefined)) return response;
    const type = mediaType(response.headers.get('content-type'));
    if (type === STREAM) return response.body ? this.#stream(response, response.body, of) : response;
    if (of === undefined) return response;
    const text = await response.text();
    if (text === '' && response.status === 202) return response;
    if (EVENT.test(text)) return this.#stream(response, new Response(text).body!, of);
    return remade(response, this.#json(text, of), JSON_TYPE);
  }

  /** The message that the SDK's transport has passed on. */
  take(passed: JSONRPCMessage): JSONRPCMessage | undefined {
    if ('method' in passed) return passed;
    const number = 'result' in passed ? (passed.result as { held?: number }).held : undefined;
    if (number === undefined) return passed;
    const message = this.#held.get(number);
    this.#held.delete(number);
    return message;
  }

  #json(text: string, of: RequestId): string {
    const parsed = parseMessage(text);
    if (!('value' in parsed)) {
      this.#reader.forget(of);
      return this.#hold(droppedAnswer(of, parsed.problem ?? notJson(text)));
    }
    const all = [parsed.value].flat().flatMap((value) => this.#read(value, of) ?? []);
    return `[${all.join(',')}]`;
  }

  #stream(response: Response, body: ReadableStream<Uint8Array>, of: RequestId | undefined): Response {
    let out!: TransformStreamDefaultController<string>;
    const events = new SseEvents((event) => {
      for (const text of this.#event(event, of)) out.enqueue(text);
    });
    const reading = new TransformStream<string, string>({
      start: (controller) => void (out = controller),
      transform: (text) => events.feed(text),
      flush: () => events.end(),
    });
    const text = body
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .pipeThrough(reading)
      .pipeThrough(new TextEncoderStream());
    return remade(response, text, STREAM);
  }

  /** The event as the SDK is to see it; an event may hold several messages. */
  #event({ data, event, ...rest }: SseEvent, of: RequestId | undefined): string[] {
    if (data === undefined || data === '') return [sseText({ ...rest, ...(data === undefined ? {} : { data }) })];
    if (event === ENDPOINT) return [sseText({ ...rest, event, data })];
    const parsed = parseMessage(data);
    const texts = 'value' in parsed ? [parsed.value].flat().flatMap((value) => this.#read(value, of) ?? []) : [];
    if (!('value' in parsed) && parsed.problem !== undefined) {
      const id = of ?? answeredId(data);
      if (id !== undefined && this.#reader.isWaiting(id)) {
        this.#reader.forget(id);
        texts.push(this.#hold(droppedAnswer(id, parsed.problem)));
      }
    }
    if (texts.length === 0) return Object.keys(rest).length > 0 ? [sseText(rest)] : [];
    return texts.map((text, index) => sseText({ ...(index === 0 ? rest : {}), data: text }));
  }

  /** As the SDK's transport is to read it; undefined for what is no message. */
  #read(value: unknown, of: RequestId | undefined): string | undefined {
    if (!isRecord(value)) return undefined;
    const message = this.#reader.read(value, of);
    if (!message) return undefined;
    return 'method' in message ? JSON.stringify(message) : this.#hold(message);
  }

  #hold(message: JSONRPCMessage): string {
    if (!('id' in message) || message.id === undefined) return JSON.stringify(message);
    this.#held.set(++this.#next, message);
    return JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { held: this.#next } });
  }
}

function notJson(text: string): string {
  return text.trim() === '' ? 'it is empty' : `it is no JSON: ${cutText(text.trim(), MAX_SHOWN)}`;
}

function remade({ headers }: Response, body: string | ReadableStream<Uint8Array>, type: string): Response {
  const kept = new Headers(headers);
  kept.delete('content-length');
  kept.set('content-type', type);
  // Some servers answer 201 or 202 with the answer, which to the SDK means that none has come.
  return new Response(body, { status: 200, headers: kept });
}

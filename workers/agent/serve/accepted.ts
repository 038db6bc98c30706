/**
 * The forms in which a client of /mcp takes answers. The SDK serves those alone that name both, JSON and streams; many clients
 * name one, or none. Pure; agent threads.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isRecord } from '../../../src/shared/loose.js';
import { SseEvents, sseText } from '../mcp/remote/sse-events.js';

const JSON_TYPE = 'application/json';
const STREAM = 'text/event-stream';

export interface Accepted {
  json: boolean;
  stream: boolean;
}

/** An absent header accepts everything. */
export function acceptedOf(header: string | undefined): Accepted {
  const ranges = (header ?? '')
    .toLowerCase()
    .split(',')
    .map((range) => range.split(';')[0]!.trim());
  const isAny = ranges.every((range) => range === '') || ranges.includes('*/*');
  const takes = (type: string): boolean =>
    isAny || ranges.includes(type) || ranges.includes(`${type.split('/')[0]!}/*`);
  return { json: takes(JSON_TYPE), stream: takes(STREAM) };
}

/** What the SDK is to see; undefined: it refuses the request. */
export function headerFor({ json, stream }: Accepted, isEndless: boolean): string | undefined {
  return (isEndless ? stream : json || stream) ? `${JSON_TYPE}, ${STREAM}` : undefined;
}

/** A JSON answer as a stream of one event. */
export function asStream(body: string): string {
  return sseText({ event: 'message', data: body });
}

/** Gathers a stream for a client that takes JSON alone: the one answer in it. */
export class AnswerInStream {
  readonly #id: RequestId | undefined;
  readonly #events = new SseEvents(({ data }) => this.#take(data ?? ''));
  #answer = '';

  constructor(id: RequestId | undefined) {
    this.#id = id;
  }

  /** '' where there is none. */
  get answer(): string {
    return this.#answer;
  }

  push(text: string): void {
    this.#events.feed(text);
  }

  end(): void {
    this.#events.end();
  }

  #take(data: string): void {
    if (data === '') return;
    const message: unknown = JSON.parse(data); // the SDK has written it
    if (isRecord(message) && !('method' in message) && message['id'] === this.#id) this.#answer = data;
  }
}

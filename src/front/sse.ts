/** Writes server-sent events to an HTTP response: framing, heartbeats, backpressure. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';
import type { FairleadError } from '../shared/errors.js';
import { slowReaderCloses } from './front-metrics.js';
import type { Exchange, Header } from './http.js';
import { toErrorFrame } from './problem.js';
import { STREAMING_PAUSE_BYTES } from './socket.js';

const HEARTBEAT_MS = 15_000;

const HEADERS: Header[] = [
  ['Content-Type', 'text/event-stream; charset=utf-8'],
  // Else nginx buffers the events.
  ['X-Accel-Buffering', 'no'],
];

/** Sends comments to idle streams, so that proxies keep them open. One timer for all; none while there is no stream. */
export class Heartbeats {
  readonly #streams = new Set<EventStream>();
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs = HEARTBEAT_MS) {
    this.#intervalMs = intervalMs;
  }

  /** True while there is no stream, and thus no timer. */
  get idle(): boolean {
    return this.#timer === undefined;
  }

  add(stream: EventStream): void {
    this.#streams.add(stream);
    this.#timer ??= setInterval(() => {
      for (const each of this.#streams) each.heartbeat();
    }, this.#intervalMs);
  }

  delete(stream: EventStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

export interface EventStreamOptions {
  heartbeats: Heartbeats;
  /** A reader with more than this in the queue is cut. */
  maxUnsentBytes: number;
  /** The blocks that stream now, for a reader that has skipped deltas. Does not reject. */
  catchUp: () => Promise<readonly OutFrame[]>;
}

/**
 * While the reader is behind, durable events wait here in a queue and streaming ones are skipped. A reader is behind as soon
 * as a chunk does not fit the kernel's buffer; uWebSockets keeps the rest of that chunk.
 */
export class EventStream {
  readonly #exchange: Exchange;
  readonly #options: EventStreamOptions;
  #queue: string[] = [];
  #queueBytes = 0;
  /** Bytes of the queue that come from a replay; they do not count against the reader. */
  #replayBytes = 0;
  #blocked = false;
  #skipped = false;
  #catchingUp = false;

  constructor(exchange: Exchange, options: EventStreamOptions) {
    this.#exchange = exchange;
    this.#options = options;
    options.heartbeats.add(this);
    exchange.onClose(() => options.heartbeats.delete(this));
    exchange.startStream(HEADERS, () => this.#writable());
  }

  /** Sends a replay, which may be longer than what a reader may have unsent. */
  replay(frames: readonly OutFrame[]): void {
    let chunk = '';
    for (const frame of frames) {
      chunk += toSse(frame);
      if (chunk.length < STREAMING_PAUSE_BYTES) continue;
      this.#replayBytes += chunk.length;
      this.#push(chunk);
      chunk = '';
    }
    this.#replayBytes += chunk.length;
    this.#push(chunk);
  }

  send(frames: readonly OutFrame[]): void {
    let chunk = '';
    for (const frame of frames) {
      if (frame.seq === 0 && (this.#blocked || this.#skipped)) this.#skipped = true;
      else chunk += toSse(frame);
    }
    this.#push(chunk);
  }

  heartbeat(): void {
    if (!this.#blocked) this.#push(':\n\n');
  }

  /** Sends the error and ends. A page's EventSource reconnects by itself, with the last id that it has. */
  fail(error: FairleadError): void {
    this.#push(`event: error\ndata: ${toErrorFrame(error, { requestId: this.#exchange.head.requestId })}\n\n`);
    this.#exchange.endStream();
  }

  /** Ends after the queue. */
  end(): void {
    if (this.#queue.length > 0) this.#exchange.write(this.#queue.splice(0).join(''));
    this.#exchange.endStream();
  }

  #push(chunk: string): void {
    if (chunk === '' || !this.#exchange.open) return;
    if (!this.#blocked) {
      this.#blocked = !this.#exchange.write(chunk);
      return;
    }
    this.#queue.push(chunk);
    this.#queueBytes += chunk.length;
    if (this.#queueBytes <= this.#options.maxUnsentBytes + this.#replayBytes) return;
    slowReaderCloses.inc();
    this.#exchange.cut();
  }

  #writable(): void {
    this.#blocked = false;
    while (!this.#blocked && this.#queue.length > 0) {
      const chunk = this.#queue.shift()!;
      this.#queueBytes -= chunk.length;
      this.#blocked = !this.#exchange.write(chunk);
    }
    if (this.#queue.length === 0) this.#replayBytes = 0;
    if (!this.#blocked && this.#skipped && !this.#catchingUp) void this.#catchUp();
  }

  async #catchUp(): Promise<void> {
    this.#catchingUp = true;
    const frames = await this.#options.catchUp();
    this.#catchingUp = false;
    this.#skipped = false;
    this.send(frames);
  }
}

function toSse({ json, seq, type }: OutFrame): string {
  return `${seq > 0 ? `id: ${seq}\n` : ''}event: ${type}\ndata: ${json}\n\n`;
}

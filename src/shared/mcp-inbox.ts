/**
 * What an untrusted MCP server has sent and nobody has read yet: read in slices, so that no server holds its thread, and
 * judged by whether it was asked for. Agent threads and docker thread.
 */
import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import { FairleadError } from './errors.js';
import type { Loose } from './loose.js';
import { McpLines } from './mcp-lines.js';
import { McpReader } from './mcp-reader.js';
import { TokenBucket } from './token-bucket.js';
import { turnShare, type Reader } from './turn-share.js';

/** One slice. Messages are not alike: the time is what counts, and the number bounds it where the clock is coarse. */
const SLICE_MESSAGES = 64;
const SLICE_MS = 1;
/** Messages that no request of ours asked for: questions, log messages, answers to nobody. */
const UNASKED = { burst: 5_000, perSecond: 500 };
/** Progress of our requests. What comes beyond is dropped. */
const PROGRESS = { burst: 2_000, perSecond: 500 };

/** What the client listens to, in any era of the protocol. To judge another one costs more than to read it. */
const KNOWN_NOTIFICATIONS: ReadonlySet<unknown> = new Set([
  'notifications/cancelled',
  'notifications/elicitation/complete',
  'notifications/message',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/subscriptions/acknowledged',
  'notifications/tasks/status',
  'notifications/tools/list_changed',
]);

export interface McpInboxOptions {
  maxLineBytes: number;
  /** Messages come one microtask apart. */
  onMessage: (message: JSONRPCMessage) => void;
  /** What `onMessage`, or work of `after`, has thrown. */
  onError: (error: Error) => void;
  /** ERR_MCP: the server sends too much that nobody asked for. The inbox is closed then. */
  onFlood: (error: FairleadError) => void;
}

type Item = { chunk: Buffer; done: () => void } | { work: () => void };

export class McpInbox implements Reader {
  readonly #options: McpInboxOptions;
  readonly #lines: McpLines;
  readonly #unasked = new TokenBucket(UNASKED.burst, UNASKED.perSecond);
  readonly #progress = new TokenBucket(PROGRESS.burst, PROGRESS.perSecond);
  readonly #reader = new McpReader();
  /** The sender is told that a chunk is done before it sends more, which bounds this. */
  #items: Item[] = [];
  /** Called at the next turn of the event loop: from here, a server that answers at once would keep it from turning. */
  #done: (() => void)[] = [];
  #reading: (() => void) | undefined;
  #closed = false;

  constructor(options: McpInboxOptions) {
    this.#options = options;
    this.#lines = new McpLines(options.maxLineBytes, (value) => this.#read(value));
  }

  /** The beginning of the first line that was not a message; '' if there was none. */
  get stray(): string {
    return this.#lines.stray;
  }

  /** `done`: all of it is read, and the event loop has turned. */
  push(chunk: Buffer, done: () => void): void {
    this.#add({ chunk, done });
  }

  /** Runs `work` when all that was pushed before is read. */
  after(work: () => void): void {
    this.#add({ work });
  }

  /** See McpReader. */
  requireIds(): void {
    this.#reader.needsIds = true;
  }

  /** Our own message, as it is sent. */
  noteSent(message: JSONRPCMessage): void {
    this.#reader.noteSent(message);
  }

  /** Takes all that has not been read, and closes. */
  takeRest(): Buffer {
    const chunks = this.#items.flatMap((item) => ('chunk' in item ? [item.chunk] : []));
    const rest = Buffer.concat([this.#lines.takeRest(), ...chunks]);
    this.close();
    return rest;
  }

  /** Drops all that has not been read. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#items = [];
    this.#done = [];
    this.#reading = undefined;
    this.#lines.takeRest();
    turnShare.remove(this);
  }

  async readSome(): Promise<boolean> {
    const until = performance.now() + SLICE_MS;
    for (let count = 0; count < SLICE_MESSAGES && performance.now() < until;) {
      if (!this.#reading && !this.#open()) return false;
      const message = this.#next();
      if (message === undefined) continue;
      count++;
      if (!message) continue;
      if (!('method' in message)) this.#reader.forget(message.id); // of a line that nobody has read
      this.#try(() => this.#options.onMessage(message));
      // The client runs a progress handler one microtask late, and drops the progress when the result comes with it.
      await Promise.resolve();
    }
    return !this.#closed;
  }

  turned(): void {
    const done = this.#done;
    this.#done = [];
    for (const tell of done) tell();
  }

  #add(item: Item): void {
    if (this.#closed) return;
    this.#items.push(item);
    turnShare.add(this);
  }

  /** Begins the next chunk; false when there is none. */
  #open(): boolean {
    for (let item = this.#items.shift(); item; item = this.#items.shift()) {
      if ('chunk' in item) {
        this.#lines.push(item.chunk);
        this.#reading = item.done;
        return true;
      }
      const { work } = item;
      this.#try(work);
    }
    return false;
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.onError(error as Error);
    }
  }

  /** Null for a line that is dropped; undefined at the end of the chunk. */
  #next(): JSONRPCMessage | null | undefined {
    try {
      const message = this.#lines.next();
      if (message === undefined) {
        if (this.#reading) this.#done.push(this.#reading);
        this.#reading = undefined;
      }
      return message;
    } catch (error) {
      this.close();
      this.#options.onFlood(error as FairleadError);
      return undefined;
    }
  }

  /** Throws when the server sends too much that nobody asked for. */
  #read(value: Loose): JSONRPCMessage | null | undefined {
    const { method, params } = value;
    if (this.#reader.answered(value) !== undefined) return this.#reader.read(value);
    if (
      method === 'notifications/progress' &&
      this.#reader.isWaiting((params as Loose | undefined)?.['progressToken'])
    ) {
      return this.#progress.take() ? this.#reader.read(value) : null;
    }
    if (!this.#unasked.take()) {
      const { burst, perSecond } = UNASKED;
      throw new FairleadError(
        'ERR_MCP',
        `the server sent more than ${burst} messages that nobody asked for, and more than ${perSecond} a second`,
      );
    }
    return isForNobody(value) ? null : this.#reader.read(value);
  }
}

/** An answer, progress of nothing, or a notification that nobody knows. An error without an id and a question are for the client to judge. */
function isForNobody({ id, method }: Loose): boolean {
  if (method === undefined) return id !== undefined;
  const isQuestion = id !== undefined && id !== null;
  return !isQuestion && !KNOWN_NOTIFICATIONS.has(method);
}

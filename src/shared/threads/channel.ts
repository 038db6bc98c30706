/** One end of a MessagePort: three kinds of message, four verbs (handle, request, notify, close). Every thread. */
import type { TransferListItem } from 'node:worker_threads';
import { FairleadError, errorFromData, errorToData, type ErrorData } from '../errors.js';

/** A thread's contract: its requests with their results, and its notifications. Each thread's `messages.ts` has it. */
export interface Contract {
  requests: Record<string, { request: unknown; result: unknown }>;
  notifications: Record<string, unknown>;
}

type Names<T> = Extract<keyof T, string>;

type Wire =
  | { kind: 'request'; id: number; name: string; body: unknown }
  | { kind: 'response'; id: number; ok: true; body: unknown }
  | { kind: 'response'; id: number; ok: false; error: ErrorData }
  | { kind: 'notification'; name: string; body: unknown };

export type RequestHandlers<C extends Contract> = {
  [K in Names<C['requests']>]: (
    request: C['requests'][K]['request'],
  ) => Promise<C['requests'][K]['result']> | C['requests'][K]['result'];
};

export type NotificationHandlers<C extends Contract> = {
  [K in Names<C['notifications']>]: (body: C['notifications'][K]) => void;
};

/** What a Channel needs of a port: a MessagePort, a Worker, or `parentPort`. */
export interface PortLike {
  postMessage(value: unknown, transfer?: readonly TransferListItem[]): void;
  on(event: 'message', listener: (value: unknown) => void): unknown;
  off(event: 'message', listener: (value: unknown) => void): unknown;
}

export interface RequestOptions {
  /** The answer's deadline, ms; then ERR_CHANNEL_TIMEOUT. */
  timeoutMs?: number;
  transfer?: readonly TransferListItem[];
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;

/**
 * `Local` is the contract that this end serves, `Remote` the one that it calls. A missing handler does not compile. The owner
 * calls `close(error)` when the peer has gone, which settles every caller with that error.
 */
export class Channel<Local extends Contract, Remote extends Contract> {
  readonly #port: PortLike;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onMessage = (value: unknown): void => this.#receive(value as Wire);
  #requests: RequestHandlers<Local> | undefined;
  #notifications: NotificationHandlers<Local> | undefined;
  #nextId = 1;
  #closed: FairleadError | undefined;

  constructor(port: PortLike) {
    this.#port = port;
  }

  /** Serves the local contract from now on; until then the port queues messages. */
  handle(requests: RequestHandlers<Local>, notifications: NotificationHandlers<Local>): void {
    this.#requests = requests;
    this.#notifications = notifications;
    this.#port.on('message', this.#onMessage);
  }

  request<K extends Names<Remote['requests']>>(
    name: K,
    body: Remote['requests'][K]['request'],
    options: RequestOptions = {},
  ): Promise<Remote['requests'][K]['result']> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return new Promise<unknown>((resolve, reject) => {
      const timer =
        timeoutMs === Infinity
          ? undefined
          : setTimeout(() => {
              this.#waiting.delete(id);
              reject(new FairleadError('ERR_CHANNEL_TIMEOUT', `no answer to ${name} within ${timeoutMs} ms`));
            }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      try {
        this.#post({ kind: 'request', id, name, body }, options.transfer);
      } catch (error) {
        // The body cannot be cloned or transferred: it was not sent, so no answer will come.
        this.#waiting.delete(id);
        clearTimeout(timer);
        reject(error);
      }
    });
  }

  notify<K extends Names<Remote['notifications']>>(
    name: K,
    body: Remote['notifications'][K],
    transfer?: readonly TransferListItem[],
  ): void {
    if (this.#closed) return;
    this.#post({ kind: 'notification', name, body }, transfer);
  }

  /** Settles every caller with `error` and stops listening. The port's owner closes the port. */
  close(error = new FairleadError('ERR_CHANNEL_CLOSED', 'the channel is closed')): void {
    if (this.#closed) return;
    this.#closed = error;
    this.#port.off('message', this.#onMessage);
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#waiting.clear();
  }

  #post(message: Wire, transfer?: readonly TransferListItem[]): void {
    this.#port.postMessage(message, transfer ?? []);
  }

  #receive(message: Wire): void {
    switch (message.kind) {
      case 'request':
        void this.#serve(message.id, message.name, message.body);
        return;
      case 'response': {
        const waiting = this.#waiting.get(message.id);
        if (!waiting) return; // the deadline has passed
        this.#waiting.delete(message.id);
        clearTimeout(waiting.timer);
        if (message.ok) waiting.resolve(message.body);
        else waiting.reject(errorFromData(message.error));
        return;
      }
      case 'notification':
        this.#notifications?.[message.name as Names<Local['notifications']>]?.(
          message.body as Local['notifications'][Names<Local['notifications']>],
        );
        return;
    }
  }

  async #serve(id: number, name: string, body: unknown): Promise<void> {
    try {
      const handler = this.#requests?.[name as Names<Local['requests']>];
      if (!handler) throw new FairleadError('ERR_INTERNAL', `no handler for ${name}`);
      const result = await handler(body);
      if (!this.#closed) this.#post({ kind: 'response', id, ok: true, body: result });
    } catch (error) {
      if (!this.#closed) this.#post({ kind: 'response', id, ok: false, error: errorToData(error) });
    }
  }
}

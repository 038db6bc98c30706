/** The HTTP+SSE transport of protocol 2024-11-05, for servers without a newer one: one stream for each connection. Agent threads. */
import { SSEClientTransport, type JSONRPCMessage, type MessageExtraInfo } from '@modelcontextprotocol/client';
import type { RemoteFailure } from '../../http/failures.js';
import type { HttpTransportOptions, RemoteTransport } from './http-transport.js';
import { MessageDoor } from './message-door.js';

export class SseTransport implements RemoteTransport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: MessageExtraInfo) => void;
  failure: RemoteFailure | undefined;
  readonly #inner: SSEClientTransport;
  readonly #door = new MessageDoor();
  #closed = false;

  constructor({ url, fetch, provider }: HttpTransportOptions) {
    this.#inner = new SSEClientTransport(url, {
      // A stream that has ended cannot be resumed, and the next one is another session: waiting requests must fail.
      fetch: fetch.sse({
        admit: (response) => this.#door.admit(response),
        onStreamEnd: (failure) => this.#lost(failure),
      }),
      ...(provider ? { authProvider: provider } : {}),
      redirectPolicy: 'follow',
    });
    this.#inner.onmessage = (passed: JSONRPCMessage) => {
      const message = this.#door.take(passed);
      if (!message) return;
      // The SDK drops progress that arrives in one chunk with its result, so the result is delivered a moment later.
      if ('method' in message) this.onmessage?.(message);
      else setImmediate(() => this.onmessage?.(message));
    };
    this.#inner.onerror = (error) => this.onerror?.(error);
    this.#inner.onclose = () => this.onclose?.();
  }

  async start(): Promise<void> {
    try {
      await this.#inner.start();
    } catch (error) {
      await this.close(); // else it keeps reconnecting by itself
      throw this.failure ?? error;
    }
  }

  send(message: JSONRPCMessage): Promise<void> {
    this.#door.noteSent(message);
    return this.#inner.send(message);
  }

  setProtocolVersion(version: string): void {
    this.#inner.setProtocolVersion(version);
  }

  async listen(): Promise<void> {
    // Its stream is always open.
  }

  sweep(): void {
    // It has one stream only.
  }

  async end(): Promise<void> {
    // Its session ends with its stream.
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#inner.close();
  }

  #lost(failure?: RemoteFailure): void {
    this.failure ??= failure;
    // What has come is still passed on.
    setImmediate(() => setImmediate(() => void this.close()));
  }
}

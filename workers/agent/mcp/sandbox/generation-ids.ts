/** Request ids of one client on a stream that had other clients before it; drops answers to those. Agent threads. */
import { createHmac, randomBytes } from 'node:crypto';
import type { JSONRPCMessage } from '@modelcontextprotocol/client';

type Params = Record<string, unknown>;

/** Names the `subscriptions/listen` request that a modern server's notification belongs to. */
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

/** 96 bits, so that code in the sandbox cannot answer a request that it has not seen. */
const PROOF_LENGTH = 16;

/**
 * In generation 2 the request id 7 is `g2-7-PROOF` on the wire, also as progress token and in a cancellation. The proof is
 * keyed by this connection, so whoever has seen one id knows no other. Answers and progress with another id are dropped.
 * The server's own requests keep their ids.
 */
export class GenerationIds {
  readonly #prefix: string;
  readonly #key = randomBytes(32);

  constructor(generation: number) {
    this.#prefix = `g${generation}-`;
  }

  outgoing(message: JSONRPCMessage): JSONRPCMessage {
    if (!('method' in message)) return message; // an answer to the server
    if ('id' in message) return { ...message, id: this.#mark(message.id), ...this.#withToken(message.params) };
    const { method, params } = message;
    if (method !== 'notifications/cancelled' || params?.['requestId'] === undefined) return message;
    return { ...message, params: { ...params, requestId: this.#mark(params['requestId']) } };
  }

  /** Undefined for another client's message. */
  incoming(message: JSONRPCMessage): JSONRPCMessage | undefined {
    if ('method' in message) {
      return message.method === 'notifications/progress' ? this.#progress(message) : this.#subscribed(message);
    }
    if (message.id === undefined) return message; // an error without the request's id
    const id = this.#unmark(message.id);
    return id === undefined ? undefined : { ...message, id };
  }

  #progress(message: Extract<JSONRPCMessage, { method: string }>): JSONRPCMessage | undefined {
    const progressToken = this.#unmark(message.params?.['progressToken']);
    if (progressToken === undefined) return undefined;
    return { ...message, params: { ...message.params, progressToken } };
  }

  #subscribed(message: Extract<JSONRPCMessage, { method: string }>): JSONRPCMessage | undefined {
    const meta = message.params?.['_meta'];
    if (meta?.[SUBSCRIPTION] === undefined) return message;
    const id = this.#unmark(meta[SUBSCRIPTION]);
    return id === undefined
      ? undefined
      : { ...message, params: { ...message.params, _meta: { ...meta, [SUBSCRIPTION]: id } } };
  }

  #withToken(params: Params | undefined): { params?: Params } {
    const meta = params?.['_meta'] as Params | undefined;
    if (meta?.['progressToken'] === undefined) return {};
    return { params: { ...params, _meta: { ...meta, progressToken: this.#mark(meta['progressToken']) } } };
  }

  #mark(id: unknown): string {
    const marked = `${this.#prefix}${String(id)}`;
    const proof = createHmac('sha256', this.#key).update(marked).digest('base64url').slice(0, PROOF_LENGTH);
    return `${marked}-${proof}`;
  }

  /** The SDK's ids are numbers. */
  #unmark(marked: unknown): number | undefined {
    if (typeof marked !== 'string' || !marked.startsWith(this.#prefix)) return undefined;
    const [, id] = /^(\d{1,15})-/.exec(marked.slice(this.#prefix.length)) ?? [];
    return id !== undefined && this.#mark(id) === marked ? Number(id) : undefined;
  }
}

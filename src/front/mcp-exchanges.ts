/** Relays each request to /mcp to the agent thread of its session, and the answer back to the client. Main thread. */
import { randomUUID } from 'node:crypto';
import type { McpExchange, McpStreamPart } from '../../workers/agent/contract/mcp.js';
import { errorToData, publicMessage } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import type { Agents } from '../threads/agents.js';
import type { Exchange, Header } from './http.js';
import type { Subscriber } from './hub.js';
import type { Presence } from './presence.js';
import { errorOfClose } from './problem.js';

/** JSON-RPC's code for a fault of the server. */
const INTERNAL_ERROR = -32_603;

export class McpExchanges {
  readonly #agents: Agents;
  readonly #presence: Presence;
  readonly #open = new Map<string, Relayed>();

  constructor(agents: Agents, presence: Presence) {
    this.#agents = agents;
    this.#presence = presence;
  }

  /** Resolves when the request is answered. Rejects with the error to answer with, unless the answer has begun. */
  async relay(exchange: Exchange, person: Person, request: Omit<McpExchange, 'exchange'>): Promise<void> {
    const id = randomUUID();
    const { session, user } = request;
    const relayed = new Relayed(exchange, person);
    const full = this.#presence.enter(user, relayed);
    if (full) throw full;
    this.#open.set(id, relayed);
    let settled = false;
    exchange.onClose(() => {
      this.#open.delete(id);
      this.#presence.leave(user, relayed);
      if (settled) return;
      // If it fails, the thread is gone, and the exchange with it.
      this.#agents.request(session, 'mcp-abort', { exchange: id }).catch(() => undefined);
    });
    try {
      // No deadline: a client may keep a stream open for days.
      const answer = await this.#agents.request(
        session,
        'mcp-exchange',
        { exchange: id, ...request },
        { timeoutMs: Infinity },
      );
      settled = true;
      if (answer) relayed.answer(answer);
      else relayed.end();
    } catch (error) {
      settled = true;
      if (!relayed.streaming) throw error;
      relayed.breakOff(error);
    }
  }

  /** Writes what an agent thread streams. Resolves when the client takes more. */
  async stream({ exchange, head, text }: McpStreamPart): Promise<{ open: boolean }> {
    const relayed = this.#open.get(exchange);
    if (!relayed) return { open: false };
    if (head) relayed.start(head);
    return { open: await relayed.write(text) };
  }
}

class Relayed implements Subscriber {
  readonly person: Person;
  seq = 0;
  streaming = false;
  readonly #exchange: Exchange;
  #requestId: string | number | undefined;
  /** Resumes the write that waits for a slow client. */
  #resume: (() => void) | undefined;

  constructor(exchange: Exchange, person: Person) {
    this.#exchange = exchange;
    this.person = person;
    exchange.onClose(() => this.#resume?.());
  }

  get user(): string {
    return this.person.user;
  }

  get open(): boolean {
    return this.#exchange.open;
  }

  answer({ status, headers, body }: { status: number; headers: readonly Header[]; body: string }): void {
    const type = headers.find(([name]) => name === 'content-type')?.[1] ?? '';
    const others = headers.filter(([name]) => name !== 'content-type');
    // An empty body is sent as a body: without its length the client would wait for the end of the connection.
    this.#exchange.answer(status, type, body, others);
  }

  start({ headers, requestId }: NonNullable<McpStreamPart['head']>): void {
    this.#requestId = requestId;
    this.streaming = true;
    this.#exchange.startStream(headers, () => this.#resume?.());
  }

  /** Resolves with whether the client is still connected. */
  async write(text: string): Promise<boolean> {
    if (text !== '' && !this.#exchange.write(text)) {
      await new Promise<void>((resolve) => (this.#resume = resolve));
      this.#resume = undefined;
    }
    return this.open;
  }

  end(): void {
    this.#exchange.endStream();
  }

  /** Answers with the error before the end, since the client would wait for its answer for ever. */
  breakOff(thrown: unknown): void {
    if (this.#requestId !== undefined) {
      const error = { code: INTERNAL_ERROR, message: publicMessage(errorToData(thrown)) };
      this.#exchange.write(
        `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: this.#requestId, error })}\n\n`,
      );
    }
    this.#exchange.endStream();
  }

  /** MCP clients get no events of a session. */
  send(): void {
    return undefined;
  }

  gone(code: number, reason: string, error = errorOfClose(code, reason)): void {
    if (this.streaming) this.breakOff(error);
    else this.#exchange.fail(error);
  }
}

/** The client library for the chat: the same session, with the chat's events and its words for what goes wrong. Command line's process. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { ClientError } from '../../client/client-error.js';
import type { Loss } from '../../client/connection.js';
import { NodeSocket } from '../../client/node-socket.js';
import { Session } from '../../client/session.js';
import type { SessionEvent } from '../../client/session-event.js';
import { ERROR_TABLE, FairleadError, type ErrorCode } from '../../shared/errors.js';
import type { ClientFrame, Pending, ServerEvent } from '../../shared/protocol.js';
import { verdict, wordsOfTls } from './verdict.js';

export interface ChatClientOptions {
  /** The WebSocket's address, without a query. */
  ws: string;
  token?: string | undefined;
  /** Throws where the token must not be sent; called before each connection. */
  guard?: (() => void) | undefined;
  session?: string | undefined;
  model?: string | undefined;
  giveUpMs?: number;
  backoff?: (failures: number) => number;
}

export interface ChatClientEvents {
  /** Every server event once: durable ones in seq order, text as deltas without gap or repeat, also for blocks that came whole. */
  event: [ServerEvent];
  retry: [{ delayMs: number; why: string }];
  /** The last event; without an error after close(). */
  end: [error: FairleadError | undefined];
}

export type Approval = Omit<Extract<ClientFrame, { type: 'tool:approval' }>, 'type' | 'id'>;
export type ElicitationReply = Omit<Extract<ClientFrame, { type: 'elicitation:reply' }>, 'type' | 'id'>;

export class ChatClient extends EventEmitter<ChatClientEvents> {
  readonly #options: ChatClientOptions;
  #session: Session | undefined;

  constructor(options: ChatClientOptions) {
    super();
    this.#options = options;
  }

  get session(): string | undefined {
    return this.#session?.id ?? this.#options.session;
  }

  get attached(): boolean {
    return this.#session?.state === 'live';
  }

  /** True while a turn runs or waits, or a message has no answer. */
  get busy(): boolean {
    return this.#session?.busy === true;
  }

  /** Approvals and questions that this client has not answered, oldest first. */
  get pending(): Pending[] {
    return this.#session?.pending ?? [];
  }

  start(): void {
    const { ws, token, guard, session, model, giveUpMs, backoff } = this.#options;
    class GuardedSocket extends NodeSocket {
      constructor(url: string, protocols: string[]) {
        guard?.();
        super(url, protocols);
      }
    }
    this.#session = new Session(
      { ws, token, WebSocket: GuardedSocket },
      {
        session,
        model,
        ...(giveUpMs !== undefined && { giveUpAfterMs: giveUpMs }),
        ...(backoff && { backoffMs: backoff }),
        // A person sees what is refused, and says it again.
        maxResends: 0,
        giveUp: (loss) => this.#giveUp(loss),
      },
    );
    this.#session.on((event) => this.#event(event));
  }

  /** Returns the message's id; `message:accepted` or `error` with the same id answers it. */
  message(text: string): string {
    const id = randomUUID();
    this.#say((session) => session.send(text, { id })).catch((error: unknown) => {
      // Only known since the server has told its limit; what the server itself refuses has come as an event.
      if (!(error instanceof ClientError) || error.code !== 'ERR_TOO_LARGE') return;
      this.emit('event', { type: 'error', id, code: error.code, message: error.message });
    });
    return id;
  }

  approve({ callId, approved, reason, ...options }: Approval): void {
    void this.#say((session) => (approved ? session.approve(callId, options) : session.deny(callId, reason)));
  }

  reply({ requestId, action, content }: ElicitationReply): void {
    void this.#say((session) => session.reply(requestId, action, content));
  }

  reset(): void {
    void this.#say((session) => session.reset());
  }

  /** False when it was not sent. */
  restartSandbox(discard: boolean): boolean {
    return this.#session?.restartSandbox(discard) === true;
  }

  /** False when it was not sent. A cancel is not kept for later, since it could hit another turn. */
  cancel(): boolean {
    return this.#session?.cancel() === true;
  }

  close(): void {
    void this.#session?.close();
  }

  /** An answer is an event too, so its promise is for who wants it. */
  #say<T>(say: (session: Session) => Promise<T>): Promise<T> {
    if (this.#session === undefined) throw new FairleadError('ERR_UNAVAILABLE', 'there is no connection yet');
    try {
      return say(this.#session);
    } catch (error) {
      throw error instanceof ClientError ? toFairleadError(error) : error;
    }
  }

  #giveUp(loss: Loss): ClientError | undefined {
    const error = verdict(loss, this.#options.ws);
    return error && new ClientError(error.code, error.message, { cause: error });
  }

  #event(event: SessionEvent): void {
    switch (event.type) {
      case 'connection:live':
      case 'connection:paused':
        return;
      case 'connection:offline':
      case 'connection:reconnecting': {
        const { delayMs, why, cause } = event;
        this.emit('retry', { delayMs, why: wordsOfTls(cause, this.#options.ws) ?? why });
        return;
      }
      case 'connection:closed':
        this.emit('end', event.error && toFairleadError(event.error));
        return;
      default:
        this.emit('event', event);
    }
  }
}

/** The chat tells errors by the table of codes. */
export function toFairleadError(error: ClientError): FairleadError {
  if (error.cause instanceof FairleadError) return error.cause;
  const code = Object.hasOwn(ERROR_TABLE, error.code) ? (error.code as ErrorCode) : 'ERR_UNAVAILABLE';
  return new FairleadError(code, error.message, { cause: error });
}

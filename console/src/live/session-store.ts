/** One open session: takes what the client gives, and hands the page one view for each frame that it paints. */
import { ClientError, type ConnectionEvent, type Fairlead, type Session, type SessionEvent } from 'fairlead/client';
import type { ServerEvent, UserBlock } from '../../../src/shared/protocol.js';
import { addEarlier, addOwn, dropOwn, EMPTY, failOwn, fold } from '../model/fold.js';
import type { Conversation } from '../model/items.js';
import { itemsOfTranscript } from '../model/transcript.js';
import { readCall, type Answers, type AskedCall, type Yes } from './answers.js';
import { blocksOf } from './attachments.js';
import { listPrompts, readPrompt, type Prompt } from './prompts.js';
import { Workspace } from './workspace.js';

/** Nobody looks at a hidden page; its title and what it announces may come a little later. */
const HIDDEN_MS = 250;
const EARLIER_LIMIT = 50;

export interface Connection {
  state: 'connecting' | 'live' | 'reconnecting' | 'offline' | 'closed';
  /** The next attempt, ms since the epoch. */
  at?: number;
  why?: string;
  /** Of `closed`: why nothing is tried any more. */
  code?: string;
}

export interface Problem {
  code: string;
  message: string;
}

export interface Snapshot {
  view: Conversation;
  connection: Connection;
  /** The last failure, until the person dismisses it. */
  problem: Problem | undefined;
  /** All events up to here were seen once, so that what is empty is empty. */
  loaded: boolean;
  /** What is to stand in the message, from elsewhere on the page. */
  written: { text: string } | undefined;
}

export interface SayOptions {
  /** The same id twice is one message. */
  id?: string;
  files?: readonly File[];
}

export class SessionStore implements Answers {
  readonly id: string;
  readonly workspace: Workspace;
  readonly #client: Fairlead;
  readonly #session: Session;
  readonly #listeners = new Set<() => void>();
  #snapshot: Snapshot = {
    view: EMPTY,
    connection: { state: 'connecting' },
    problem: undefined,
    loaded: false,
    written: undefined,
  };
  /** Messages that the server has not taken. */
  readonly #unsent = new Map<string, { text: string; files: readonly File[] }>();
  #waiting: ServerEvent[] = [];
  #scheduled: (() => void) | undefined;
  #loadedAt: number | undefined;

  constructor(client: Fairlead, id: string) {
    this.id = id;
    this.workspace = new Workspace(client, id);
    this.#client = client;
    this.#session = client.open({ session: id, after: 0, giveUpAfterMs: Infinity });
    this.#session.on((event) => this.#take(event));
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly read = (): Snapshot => this.#snapshot;

  /** Files go to the workspace first, or into the message where the model can look at them. */
  say(text: string, { id = newMessageId(), files = [] }: SayOptions = {}): void {
    const names = files.map(({ name }) => name);
    this.#show({ view: addOwn(this.#snapshot.view, id, text, names) });
    this.#unsent.set(id, { text, files });
    this.#send(text, id, files).then(
      () => this.#unsent.delete(id),
      (error: unknown) => this.#show({ view: failOwn(this.#snapshot.view, id, problemOf(error)) }),
    );
  }

  /** What has failed, anew, with its files. */
  sayAgain(id: string): void {
    const message = this.#unsent.get(id);
    this.forget(id);
    if (message) this.say(message.text, { files: message.files });
  }

  async #send(text: string, id: string, files: readonly File[]): Promise<void> {
    const message: string | UserBlock[] = files.length === 0 ? text : await blocksOf(text, files, this.workspace);
    await this.#session.send(message, { id });
  }

  /** Takes a message back that the server has not taken. */
  forget(id: string): void {
    this.#unsent.delete(id);
    this.#show({ view: dropOwn(this.#snapshot.view, id) });
  }

  approve(callId: string, yes: Yes): Promise<unknown> {
    return this.#session.approve(callId, yes);
  }

  deny(callId: string, reason: string): Promise<unknown> {
    return this.#session.deny(callId, reason === '' ? undefined : reason);
  }

  reply(
    requestId: string,
    action: 'accept' | 'decline' | 'cancel',
    content?: Record<string, unknown>,
  ): Promise<unknown> {
    return this.#session.reply(requestId, action, content);
  }

  readCall(callId: string): Promise<AskedCall> {
    return readCall(this.#client, this.id, callId);
  }

  /** Puts it into the message, for the person to change and send. */
  write(text: string): void {
    this.#show({ written: { text } });
  }

  listPrompts(): Promise<Prompt[]> {
    return listPrompts(this.#client, this.id);
  }

  readPrompt(prompt: Prompt, args: Readonly<Record<string, string>>): Promise<string> {
    return readPrompt(this.#client, this.id, prompt, args);
  }

  cancel(): void {
    if (!this.#session.cancel()) this.#failed(new ClientError('ERR_UNAVAILABLE', 'there is no connection now'));
  }

  /** Does not wait for the countdown. */
  reconnect(): void {
    this.#session.reconnect();
  }

  dismiss(): void {
    this.#show({ problem: undefined });
  }

  async showEarlier(): Promise<void> {
    const before = this.#snapshot.view.earlier;
    if (before === undefined) return;
    try {
      const { transcript, first, next } = await this.#client.history(this.id, { limit: EARLIER_LIMIT, before });
      if (this.#snapshot.view.earlier !== before) return;
      this.#show({ view: addEarlier(this.#snapshot.view, itemsOfTranscript(transcript, `h${first}`), next) });
    } catch (error) {
      this.#failed(error);
    }
  }

  close(): void {
    this.#scheduled?.();
    this.#listeners.clear();
    void this.#session.close();
  }

  #take(event: SessionEvent): void {
    if (isOfConnection(event)) return this.#connected(event);
    if (event.type === 'error') this.#show({ problem: { code: event.code, message: event.message } });
    if (event.type === 'session:ready') this.#loadedAt ??= event.seq;
    this.#waiting.push(event);
    this.#scheduled ??= schedule(() => this.#paint());
    return undefined;
  }

  #connected(event: ConnectionEvent): void {
    switch (event.type) {
      case 'connection:live':
        return this.#show({ connection: { state: 'live' } });
      case 'connection:paused':
        return this.#show({ connection: { state: 'connecting' } });
      case 'connection:closed': {
        const { why, error } = event;
        return this.#show({ connection: { state: 'closed', why, ...(error && { code: error.code }) } });
      }
      default: {
        const state = event.type === 'connection:offline' ? 'offline' : 'reconnecting';
        return this.#show({ connection: { state, at: event.at, why: event.why } });
      }
    }
  }

  #paint(): void {
    this.#scheduled = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    const view = fold(this.#snapshot.view, events);
    const loaded = this.#snapshot.loaded || (this.#loadedAt !== undefined && view.seq >= this.#loadedAt);
    this.#show({ view, loaded });
  }

  #failed(error: unknown): void {
    this.#show({ problem: problemOf(error) });
  }

  #show(change: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}

export function newMessageId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function isOfConnection(event: SessionEvent): event is ConnectionEvent {
  return event.type.startsWith('connection:');
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ClientError) return { code: error.code, message: error.message };
  return { code: 'ERR_INTERNAL', message: String(error) };
}

/** Before the next paint. A hidden page paints nothing, so a timer stands behind it. Returns what stops it. */
function schedule(work: () => void): () => void {
  const stop = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  const run = (): void => {
    stop();
    work();
  };
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, HIDDEN_MS);
  return stop;
}

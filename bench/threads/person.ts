/** One simulated user at one WebSocket: sends messages one after the other, pings, and takes the time. Runs in the users' process. */
import { WebSocket } from 'ws';
import { PROTOCOL, type ServerEvent } from '../../src/shared/protocol.js';
import { threadOf } from '../../src/shared/threads/route.js';
import { PEOPLE } from './users.js';

export interface TurnTimes {
  firstMs: number;
  turnMs: number;
}

interface Waiting {
  matches: (event: ServerEvent) => boolean;
  resolve: (event: ServerEvent) => void;
  reject: (error: Error) => void;
}

export class Person {
  readonly #socket: WebSocket;
  readonly #pings = new Map<string, { resolve: (at: number) => void; reject: (error: Error) => void }>();
  #waiting: Waiting | undefined;
  #firstAt: number | undefined;
  #nextId = 1;
  thread = 0;
  turns = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#receive(JSON.parse(data.toString()) as ServerEvent));
    socket.on('close', (code) => this.#fail(`the socket closed with ${code}`));
    socket.on('error', (error) => this.#fail(error.message));
  }

  /** A session's id decides its thread: opens sessions until one is on the wanted thread. */
  static async connect(url: string, { threads, thread }: { threads: number; thread: number }): Promise<Person> {
    for (;;) {
      const person = new Person(new WebSocket(url, [PROTOCOL, `bearer.${PEOPLE}`]));
      const ready = await person.#wait(({ type }) => type === 'session:ready');
      if (ready.type === 'session:ready' && threadOf(ready.session, threads) === thread) {
        person.thread = thread;
        return person;
      }
      person.close();
    }
  }

  /** Timed from `from`, which is in the past where the user had to wait for the last answer. Undefined when it failed. */
  async say(text: string, from = performance.now()): Promise<TurnTimes | undefined> {
    this.#firstAt = undefined;
    const ended = this.#wait(({ type }) => type === 'turn:end' || type === 'error');
    this.#send({ type: 'message', text });
    const event = await ended;
    const now = performance.now();
    this.turns++;
    if (event.type !== 'turn:end' || event.stopReason !== 'end_turn') return undefined;
    return { firstMs: (this.#firstAt ?? now) - from, turnMs: now - from };
  }

  /** Resets the conversation: otherwise each turn would be longer than the last. */
  async reset(): Promise<void> {
    const cleared = this.#wait(({ type }) => type === 'history:cleared');
    this.#send({ type: 'history:reset' });
    await cleared;
  }

  /** Resolves with how long it took. */
  ping(): Promise<number> {
    const id = String(this.#nextId++);
    const sentAt = performance.now();
    return new Promise((resolve, reject) => {
      this.#pings.set(id, { resolve: (at) => resolve(at - sentAt), reject });
      this.#send({ type: 'ping', id });
    });
  }

  close(): void {
    this.#socket.terminate();
  }

  #send(frame: object): void {
    this.#socket.send(JSON.stringify(frame));
  }

  #wait(matches: Waiting['matches']): Promise<ServerEvent> {
    return new Promise((resolve, reject) => {
      this.#waiting = { matches, resolve, reject };
    });
  }

  #receive(event: ServerEvent): void {
    if (event.type === 'text:delta') this.#firstAt ??= performance.now();
    if (event.type === 'pong' && event.id !== undefined) {
      this.#pings.get(event.id)?.resolve(performance.now());
      this.#pings.delete(event.id);
    }
    if (this.#waiting?.matches(event) !== true) return;
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    resolve(event);
  }

  #fail(why: string): void {
    this.#waiting?.reject(new Error(why));
    this.#waiting = undefined;
    for (const { reject } of this.#pings.values()) reject(new Error(why));
    this.#pings.clear();
  }
}

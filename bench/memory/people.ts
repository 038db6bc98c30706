/** Many simulated users on raw sockets: each holds a socket and at most one wait, so that thousands are cheap. */
import { WebSocket } from 'ws';
import { PROTOCOL, type ClientFrame, type ServerEvent } from '../../src/shared/protocol.js';
import { orInterrupted } from '../shared/work.js';

const ATTACHES_AT_ONCE = 200;
const WAIT_MS = 60_000;

interface Waiting {
  type: ServerEvent['type'];
  resolve: (event: ServerEvent) => void;
  reject: (error: Error) => void;
}

export class Person {
  readonly #socket: WebSocket;
  readonly #closed: Promise<void>;
  #waiting: Waiting | undefined;
  session = '';
  /** The call that waits for approval. */
  #callId = '';

  constructor(url: string) {
    this.#socket = new WebSocket(url, [PROTOCOL], { perMessageDeflate: false });
    this.#socket.on('message', (data: Buffer) => this.#receive(data));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#closed = new Promise((resolve) => {
      this.#socket.once('close', (code) => {
        this.#fail(new Error(`the socket closed with ${code}`));
        resolve();
      });
    });
  }

  /** Resolves with the first frame. Call it right after the constructor. */
  async attached(): Promise<void> {
    const ready = await this.next('session:ready');
    if (ready.type === 'session:ready') this.session = ready.session;
  }

  send(frame: ClientFrame): void {
    this.#socket.send(JSON.stringify(frame));
  }

  /** Sends the message, and resolves with the next event of that type. */
  async say(text: string, until: ServerEvent['type']): Promise<ServerEvent> {
    const event = this.next(until);
    this.send({ type: 'message', text });
    const came = await event;
    if (came.type === 'tool:approval_required') this.#callId = came.callId;
    return came;
  }

  /** Ends the turn under way. */
  async cancel(): Promise<void> {
    const ended = this.next('turn:end');
    this.send({ type: 'turn:cancel' });
    await ended;
  }

  /** Denies the waiting call; resolves when the turn is over. */
  async deny(): Promise<void> {
    const ended = this.next('turn:end');
    this.send({ type: 'tool:approval', callId: this.#callId, approved: false });
    await ended;
  }

  /** One wait at a time. */
  next(type: ServerEvent['type']): Promise<ServerEvent> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${type} in ${WAIT_MS} ms`)), WAIT_MS);
      const settle = <T>(how: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          this.#waiting = undefined;
          how(value);
        };
      };
      this.#waiting = { type, resolve: settle(resolve), reject: settle(reject) };
    });
  }

  async close(): Promise<void> {
    this.#socket.close(1000);
    await this.#closed;
  }

  cut(): void {
    this.#socket.terminate();
  }

  #receive(data: Buffer): void {
    if (!this.#waiting) return;
    const event = JSON.parse(data.toString()) as ServerEvent;
    if (event.type === this.#waiting.type) return this.#waiting.resolve(event);
    if (event.type === 'error') this.#fail(new Error(`${event.code}: ${event.message}`));
    if (event.type === 'turn:end') this.#fail(new Error(`the turn ended before: ${event.stopReason}`));
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
  }
}

/** All users of a bench; `cut` ends all, whatever has happened. */
export class People {
  readonly all: Person[] = [];
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Attaches as many more. */
  async attach(url: string, count: number): Promise<Person[]> {
    const come: Person[] = [];
    await this.each(Array.from({ length: count }), ATTACHES_AT_ONCE, async () => {
      const person = new Person(url);
      this.all.push(person);
      await person.attached();
      come.push(person);
    });
    return come;
  }

  /** `atOnce` at a time; ends early when the bench is interrupted. */
  async each<T>(over: readonly T[], atOnce: number, work: (one: T, index: number) => Promise<unknown>): Promise<void> {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < over.length) {
        this.#signal.throwIfAborted();
        const index = next++;
        await work(over[index] as T, index);
      }
    };
    const lanes = Promise.all(Array.from({ length: Math.min(atOnce, over.length) }, lane));
    await orInterrupted(lanes, this.#signal);
  }

  cut(): void {
    for (const person of this.all) person.cut();
  }
}

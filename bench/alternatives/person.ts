/** One simulated person at one socket: connects, says something, reads the answer, and takes the time. */
import { setTimeout as delay } from 'node:timers/promises';
import { deferred } from '../../test/helpers/processes.js';
import { WireSocket } from '../turns/wire-socket.js';
import type { Ask, Times } from './messages.js';
import { ANSWER, askText, HOLD } from './script.js';
import type { Heard, Wire } from './wire.js';

/** Containers and processes queue when many people come at once. */
const TURN_MS = 180_000;

interface Turn {
  from: number;
  firstMs: number;
  onFirst: () => void;
  end: (error?: string) => void;
}

export class Person {
  readonly #wire: Wire;
  readonly #url: string;
  #socket: WireSocket | undefined;
  #ready: (() => void) | undefined;
  #failed = '';
  #turn: Turn | undefined;
  #said = 0;
  #session: string | undefined;

  constructor(wire: Wire, url: string) {
    this.#wire = wire;
    this.#url = wire.url(url);
  }

  /** Connects, and has the first answer. Never rejects. */
  async arrive(ask: Ask): Promise<Times> {
    const from = performance.now();
    const read = this.#wire.reader();
    const early: string[] = []; // a first frame may come together with the answer to the handshake
    const ready = new Promise<void>((resolve) => (this.#ready = resolve));
    try {
      this.#socket = await WireSocket.open(this.#url, {
        onText: (frame) => (this.#socket ? this.#take(read(frame)) : early.push(frame)),
        onEnd: (why) => this.#ended(why),
      });
    } catch (error) {
      return { firstMs: Number.NaN, turnMs: Number.NaN, error: (error as Error).message };
    }
    for (const frame of early) this.#take(read(frame));
    await Promise.race([ready, delay(TURN_MS, undefined, { ref: false })]);
    return await this.say(ask, from);
  }

  /** Never rejects. */
  async say(ask: Ask, from = performance.now()): Promise<Times> {
    return await this.#send(askText(ask, ++this.#said), from);
  }

  /** Settles `first` at the first token, and `ended` with the whole turn, which the model holds. */
  hold(): { first: Promise<unknown>; ended: Promise<Times> } {
    const token = deferred<void>();
    const ended = this.#send(HOLD, performance.now(), () => token.resolve());
    return { first: Promise.race([token.promise, ended]), ended };
  }

  /** Fairlead keeps a session, and its sandbox, for a person who may come back; the others' end with the socket. */
  async leave(): Promise<void> {
    this.#socket?.close();
    this.#ended('left');
    if (this.#session === undefined) return;
    const url = new URL(`/v1/sessions/${this.#session}`, this.#url.replace(/^ws/, 'http'));
    const { status } = await fetch(url, { method: 'DELETE' });
    if (status !== 200 && status !== 204) throw new Error(`the session was not deleted: ${status}`);
  }

  #send(text: string, from: number, onFirst: () => void = () => undefined): Promise<Times> {
    return new Promise((resolve) => {
      const end = (error?: string): void => {
        clearTimeout(timer);
        const firstMs = this.#turn?.firstMs ?? Number.NaN;
        this.#turn = undefined;
        resolve({ firstMs, turnMs: performance.now() - from, ...(error === undefined ? {} : { error }) });
      };
      const timer = setTimeout(end, TURN_MS, `no answer in ${TURN_MS} ms`);
      this.#turn = { from, firstMs: Number.NaN, onFirst, end };
      if (this.#socket && this.#failed === '') this.#socket.send(this.#wire.say(text));
      else end(this.#failed || 'not connected');
    });
  }

  #ended(why: string): void {
    this.#failed ||= why;
    this.#ready?.();
    this.#turn?.end(why);
  }

  #take(heard: Heard | undefined): void {
    if (!heard) return;
    if (heard.type === 'answer') this.#socket?.send(heard.frame);
    else if (heard.type === 'ready') {
      this.#session = heard.session;
      this.#ready?.();
    } else if (this.#turn) this.#follow(this.#turn, heard);
  }

  #follow(turn: Turn, heard: Heard & { type: 'delta' | 'end' }): void {
    if (heard.type === 'end') {
      const { error = judge(heard.text, turn.firstMs) } = heard;
      turn.end(error);
    } else if (Number.isNaN(turn.firstMs)) {
      turn.firstMs = performance.now() - turn.from;
      turn.onFirst();
    }
  }
}

function judge(text: string, firstMs: number): string | undefined {
  if (text.trim() !== ANSWER.trim())
    return `the answer is not what the model said: ${JSON.stringify(text.slice(0, 200))}`;
  return Number.isNaN(firstMs) ? 'no text was streamed' : undefined;
}

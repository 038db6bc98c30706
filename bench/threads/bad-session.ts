/** A session that takes all it can get; one class for all kinds. Runs in the process of the bad session. */
import { WebSocket } from 'ws';
import { CLOSE, PROTOCOL, type ServerEvent } from '../../src/shared/protocol.js';
import { threadOf } from '../../src/shared/threads/route.js';
import type { BadDeeds, BadKind } from './messages.js';
import { PRINTED_BYTES } from './print.js';
import { BAD } from './users.js';

const MB = 1_000_000;
const TOKEN_BYTES = 'token '.length;
/** Below `limits.maxFrameBytes`, which is a MiB. */
const FRAME_BYTES = 1_048_000;
/** Enough that the socket always has something to send. */
const FRAMES_AT_ONCE = 2;
const MAX_PROBLEMS = 5;

let started = 0;

export type Wire = Exclude<BadKind, 'bare'>;

export class BadSession {
  #socket: WebSocket;
  readonly #url: string;
  readonly #kind: Wire;
  readonly #user: string;
  readonly #frame: string;
  #session = '';
  #underWay = false;
  #since = performance.now();
  #count = 0;
  #bytes = 0;
  #problems: string[] = [];
  #onEvent: ((event: ServerEvent) => void) | undefined;
  #onEnd: ((error: Error) => void) | undefined;

  private constructor(url: string, kind: Wire, user: string) {
    this.#user = user;
    this.#url = url;
    this.#kind = kind;
    this.#frame = frameOf(kind);
    this.#socket = this.#open(url);
  }

  #open(url: string): WebSocket {
    const socket = new WebSocket(url, [PROTOCOL, `bearer.${this.#user}`], { perMessageDeflate: false });
    socket.on('message', (data: Buffer) => this.#receive(JSON.parse(data.toString()) as ServerEvent));
    socket.on('close', (code) => this.#closed(code));
    socket.on('error', (error) => this.#ended(error.message));
    return socket;
  }

  /** When it is cut, it reconnects at once and goes on. */
  #closed(code: number): void {
    if (!this.#underWay || (code !== CLOSE.overloaded && code !== CLOSE.notThisProtocol)) {
      return this.#ended(`the socket closed with ${code}`);
    }
    this.#socket = this.#open(`${this.#url}?session=${this.#session}`);
    this.#socket.once('open', () => this.#pump());
    return undefined;
  }

  /** Starts on that thread; resolves when it is under way. */
  static async start(
    url: string,
    kind: Wire,
    { threads, thread }: { threads: number; thread: number },
  ): Promise<BadSession> {
    const user = BAD[started++ % BAD.length]!;
    for (;;) {
      const bad = new BadSession(url, kind, user);
      const ready = await bad.#first(({ type }) => type === 'session:ready');
      if (ready.type === 'session:ready' && threadOf(ready.session, threads) === thread) {
        bad.#session = ready.session;
        await bad.#begin();
        return bad;
      }
      await bad.#close();
    }
  }

  deeds(): BadDeeds {
    const now = performance.now();
    const deeds = {
      seconds: (now - this.#since) / 1_000,
      count: this.#count,
      megabytes: this.#bytes / MB,
      problems: this.#problems,
    };
    this.#since = now;
    this.#count = 0;
    this.#bytes = 0;
    this.#problems = [];
    return deeds;
  }

  /** Deletes the session, and with it its turns, its history and its container. */
  async stop(): Promise<void> {
    this.#underWay = false;
    await this.#close();
    const target = new URL(`/v1/sessions/${this.#session}`, this.#url.replace(/^ws/, 'http'));
    const answer = await fetch(target, { method: 'DELETE', headers: { authorization: `Bearer ${this.#user}` } });
    await answer.arrayBuffer();
    if (!answer.ok && answer.status !== 404)
      throw new Error(`the delete of a session was answered with ${answer.status}`);
  }

  async #begin(): Promise<void> {
    let calls = 0;
    const begun = this.#first(({ type }) => {
      switch (this.#kind) {
        case 'output':
          return type === 'tool:start' && ++calls === 2; // the first call has started its container
        case 'deltas':
          return type === 'text:delta';
        default:
          return type === 'error'; // the queue is full, or the call is unknown: from here on all are refused
      }
    });
    if (this.#kind === 'frames' || this.#kind === 'keys') {
      for (let lane = 0; lane < FRAMES_AT_ONCE; lane++) this.#pump();
    } else {
      this.#say(this.#kind === 'output' ? 'lease' : this.#kind);
    }
    await begun;
    this.#underWay = this.#kind === 'frames' || this.#kind === 'keys';
    this.deeds();
  }

  #say(what: string): void {
    this.#socket.send(JSON.stringify({ type: 'message', text: `${what} please` }));
  }

  /** Sends the next frame as soon as the kernel has taken the last one. */
  #pump(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(this.#frame, (error) => {
      if (error) return; // the close handler reports it
      this.#count++;
      this.#bytes += this.#frame.length;
      // In a later task: as long as the kernel takes everything, nothing else would run here.
      setImmediate(() => this.#pump());
    });
  }

  #receive(event: ServerEvent): void {
    this.#onEvent?.(event);
    switch (event.type) {
      case 'text:delta':
        if (this.#kind !== 'deltas') return;
        this.#count += event.text.length / TOKEN_BYTES;
        this.#bytes += event.text.length;
        return;
      case 'tool:result':
        this.#count++;
        this.#bytes += PRINTED_BYTES;
        if (!event.ok) this.#note(`the tool failed: ${JSON.stringify(event.content).slice(0, 200)}`);
        return;
      case 'turn:end':
        if (event.stopReason !== 'end_turn') this.#note(`a turn ended with ${event.stopReason}`);
        if (this.#kind === 'output') this.#socket.send(JSON.stringify({ type: 'history:reset' }));
        return;
      case 'history:cleared':
        return this.#say(this.#kind);
      default:
        return;
    }
  }

  #first(matches: (event: ServerEvent) => boolean): Promise<ServerEvent> {
    return new Promise((resolve, reject) => {
      this.#onEnd = reject;
      this.#onEvent = (event) => {
        if (!matches(event)) return;
        this.#onEvent = undefined;
        this.#onEnd = undefined;
        resolve(event);
      };
    });
  }

  async #close(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#onEnd = () => undefined;
    this.#socket.terminate();
    await closed;
  }

  #ended(why: string): void {
    if (this.#onEnd) this.#onEnd(new Error(why));
    else this.#note(why);
  }

  #note(problem: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
  }
}

function frameOf(kind: Wire): string {
  if (kind === 'frames') return JSON.stringify({ type: 'message', text: `frames ${'x'.repeat(FRAME_BYTES - 100)}` });
  if (kind !== 'keys') return '';
  const entries: [string, number][] = [];
  for (let bytes = 100, index = 0; bytes < FRAME_BYTES - 20; index++) {
    const key = `k${index.toString(36)}`;
    bytes += key.length + 5; // the quotes, the colon, the digit, the comma
    entries.push([key, 1]);
  }
  return JSON.stringify({ type: 'tool:approval', callId: 'none', approved: true, args: Object.fromEntries(entries) });
}

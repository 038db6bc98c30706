/** One WebSocket: attaches it to its session, takes its frames to the agent thread and the session's events to it. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';
import type { Config } from '../shared/config.js';
import { errorToData, FairleadError, publicMessage } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { whoOf, type Person, type Who } from '../shared/person.js';
import { CLOSE, type ClientFrame } from '../shared/protocol.js';
import type { Agents } from '../threads/agents.js';
import type { ByteBudget } from './byte-budget.js';
import { askAgent } from './ask-agent.js';
import { badFrame, defined, parseFrame } from './frames.js';
import { badFramesTotal, frames as frameCounts, slowReaderCloses } from './front-metrics.js';
import { attach, catchUpFrames, REQUEST_TIMEOUT_MS, type Hub, type Subscriber } from './hub.js';
import { newerCredential, refreshedFrame, type CredentialJudges } from './newer-credential.js';
import { DRAINS, type Presence } from './presence.js';
import type { RequestRate } from './request-rate.js';
import { closeCodeOf, toErrorFrame } from './problem.js';
import { newSessionId } from './session-id.js';
import { DROPPED, STREAMING_PAUSE_BYTES, type Socket } from './socket.js';

const MAX_BAD_FRAMES = 5;
const utf8 = new TextDecoder();
/** Small frames are charged to the user's budget together, once they amount to this. */
const PAY_BYTES = 4_096;
const PONG = JSON.stringify({ type: 'pong' });
const MAX_OUTSTANDING = 64;
const MAX_EARLY_FRAMES = 64;
/** RFC 6455 allows 123 bytes for a close frame's reason. */
const MAX_REASON = 120;

/** Until the upgrade's verdict is read. */
const NOBODY: Person = { user: '', role: 'user', groups: [], credential: '' };

/** The parts that all connections share. */
export interface ConnectionContext extends CredentialJudges {
  agents: Agents;
  hub: Hub;
  presence: Presence;
  budget: ByteBudget;
  /** Of each user. */
  reads: Pick<RequestRate, 'take'>;
  limits: Pick<Config['limits'], 'maxFrameBytes' | 'maxUnsentBytes'>;
  log: Logger;
}

/** The verdict on an upgrade request: a refusal, or who asks for what. */
export type JudgedUpgrade =
  | { refused: FairleadError }
  | {
      refused?: never;
      person: Person;
      address: string;
      session?: string;
      after?: number;
      model?: string;
      image?: string;
    };

/** Frames that came before the attach was answered. */
interface Early {
  texts: (string | undefined)[];
  bytes: number;
}

/** Frames that wait for the reader: the rest of a long replay, and the durable events after it. */
interface Backlog {
  frames: OutFrame[];
  next: number;
  /** Bytes beyond the replay itself. */
  liveBytes: number;
}

/**
 * uWebSockets' handlers call its methods. An idle socket keeps only this object in memory, so it has few fields and no
 * closure, timer or collection of its own.
 */
export class Connection implements Subscriber {
  readonly #context: ConnectionContext;
  #socket: Socket | undefined;
  person = NOBODY;
  /** Where it comes from, as the limits count it. */
  #address = '';
  seq = 0;
  /** Of the upgrade. */
  readonly #requestId: string;
  /** Set when the attach is answered. */
  #session = '';
  /** Set until the attach is answered. */
  #opening: JudgedUpgrade | Promise<JudgedUpgrade> | undefined;
  #early: Early | undefined;
  #backlog: Backlog | undefined;
  /** Bad frames in a row. */
  #bad = 0;
  /** Bytes not charged to the user's budget yet. */
  #unpaid = 0;
  #outstanding = 0;
  /** Streaming events were skipped, since this reader is slow. */
  #behind = false;
  #catchingUp = false;

  constructor(context: ConnectionContext, opening: JudgedUpgrade | Promise<JudgedUpgrade>, requestId: string) {
    this.#context = context;
    this.#requestId = requestId;
    this.#opening = opening;
  }

  get user(): string {
    return this.person.user;
  }

  get open(): boolean {
    return this.#socket !== undefined;
  }

  opened(socket: Socket): void {
    this.#socket = socket;
    const opening = this.#opening!;
    if (!(opening instanceof Promise)) return this.#begin(opening);
    void opening.then(
      (judged) => this.open && this.#begin(judged),
      (error: unknown) => this.#refuse(error),
    );
    return undefined;
  }

  #begin(opening: JudgedUpgrade): void {
    if (opening.refused) return this.#refuse(opening.refused);
    const { person, address, session, after } = opening;
    this.person = person;
    this.#address = address;
    const { user } = person;
    const { budget, reads, presence } = this.#context;
    // A replay costs as much as a GET of it, and a client that comes back in a loop asks for it each time.
    const replays = session !== undefined && after !== undefined;
    const full = budget.debt(user) ?? (replays ? reads.take(user) : undefined) ?? presence.enter(user, this);
    if (full) return this.#refuse(full);
    void this.#attach(opening);
    return undefined;
  }

  /** `message` is uWebSockets' memory, valid until this returns. */
  received(message: ArrayBuffer | Uint8Array, isBinary: boolean): void {
    frameCounts.in++;
    // Who sends before the credential is judged has no budget yet, and may send no more than waits for the attach.
    if (this.user !== '' && !this.#pay(message.byteLength)) return undefined;
    const text = isBinary ? undefined : utf8.decode(message);
    if (this.#opening === undefined) return this.#handle(text);
    const early = (this.#early ??= { texts: [], bytes: 0 });
    early.texts.push(text);
    early.bytes += text?.length ?? 0;
    if (early.texts.length > MAX_EARLY_FRAMES || early.bytes > this.#context.limits.maxFrameBytes) {
      this.#end(CLOSE.overloaded, 'too much was sent before session:ready');
    }
    return undefined;
  }

  /** The reader has taken some of the unsent bytes. */
  drained(): void {
    const socket = this.#socket;
    if (!socket) return;
    if (this.#backlog) this.#pump(socket, this.#backlog);
    if (!this.#behind || this.#catchingUp || this.#backlog) return;
    if (socket.getBufferedAmount() < STREAMING_PAUSE_BYTES) void this.#catchUp();
  }

  /** The socket has closed. Called once, also after `end` and `close`. */
  closed(): void {
    this.#socket = undefined;
    this.#early = undefined;
    this.#backlog = undefined;
    if (this.#session !== '') this.#context.hub.unsubscribe(this.#session, this);
    this.#context.presence.leave(this.user, this);
  }

  send(frames: readonly OutFrame[]): void {
    const socket = this.#socket;
    if (!socket) return;
    if (this.#backlog) return this.#queue(this.#backlog, frames);
    let cut = false;
    let sent = 0;
    socket.cork(() => {
      for (const frame of frames) {
        if (frame.seq === 0 && (this.#behind || socket.getBufferedAmount() > STREAMING_PAUSE_BYTES)) {
          this.#behind = true;
          continue;
        }
        cut = socket.send(frame.json) === DROPPED;
        if (cut) break;
        sent++;
      }
    });
    frameCounts.out += sent;
    if (cut) this.#cut();
    return undefined;
  }

  gone(code: number, reason: string): void {
    this.#end(code, reason);
  }

  async #attach(opening: Exclude<JudgedUpgrade, { refused: FairleadError }>): Promise<void> {
    const { agents } = this.#context;
    const { user } = this;
    const { after, model, image } = opening;
    const who = this.#who();
    const session = opening.session ?? newSessionId();
    try {
      if (opening.session === undefined) {
        const body = { user, session, who, ...defined({ model, image }) };
        await agents.request(session, 'create-session', body, { timeoutMs: REQUEST_TIMEOUT_MS });
      }
      const of = { user, session, who, after, resumed: opening.session !== undefined };
      await attach(this.#context, of, this, (frames) => this.#attached(session, frames));
    } catch (error) {
      this.#refuse(error);
    }
  }

  #attached(session: string, frames: readonly OutFrame[]): void {
    this.#session = session;
    this.#opening = undefined;
    this.#replay(frames);
    const early = this.#early?.texts ?? [];
    this.#early = undefined;
    for (const text of early) this.#handle(text);
    // It has entered before the drain, and was not there when the others were told.
    if (this.#context.presence.draining) this.#end(CLOSE.draining, DRAINS);
  }

  /** Sends a replay as fast as it is read, since it may be longer than what a reader may have unsent. */
  #replay(frames: readonly OutFrame[]): void {
    const backlog: Backlog = { frames: [...frames], next: 0, liveBytes: 0 };
    this.#backlog = backlog;
    if (this.#socket) this.#pump(this.#socket, backlog);
  }

  #pump(socket: Socket, backlog: Backlog): void {
    const high = this.#context.limits.maxUnsentBytes / 2;
    const first = backlog.next;
    let cut = false;
    socket.cork(() => {
      while (!cut && backlog.next < backlog.frames.length && socket.getBufferedAmount() <= high) {
        cut = socket.send(backlog.frames[backlog.next++]!.json) === DROPPED;
      }
    });
    frameCounts.out += backlog.next - first;
    if (cut) this.#cut();
    else if (backlog.next === backlog.frames.length) this.#backlog = undefined;
  }

  #queue(backlog: Backlog, frames: readonly OutFrame[]): void {
    for (const frame of frames) {
      if (frame.seq === 0) {
        this.#behind = true;
        continue;
      }
      backlog.frames.push(frame);
      backlog.liveBytes += frame.json.length;
    }
    if (backlog.liveBytes > this.#context.limits.maxUnsentBytes) this.#cut();
  }

  #handle(text: string | undefined): void {
    if (!this.#socket) return;
    const result =
      text === undefined ? { ok: false as const, error: badFrame('binary frames are not used') } : parseFrame(text);
    if (result.ok) {
      this.#bad = 0;
      this.#dispatch(result.frame);
      return;
    }
    badFramesTotal.inc();
    this.#fail(result.error, 'id' in result ? result.id : undefined);
    if (++this.#bad >= MAX_BAD_FRAMES) this.#end(CLOSE.notThisProtocol, `${MAX_BAD_FRAMES} bad frames in a row`);
  }

  /** False: over the budget. Such a frame is not parsed, not even for its id, since that is most of a large frame's cost. */
  #pay(bytes: number): boolean {
    this.#unpaid += bytes;
    if (this.#unpaid < PAY_BYTES) return true;
    const error = this.#context.budget.spend(this.user, this.#unpaid);
    this.#unpaid = 0;
    if (!error) return true;
    this.#fail(error);
    if (++this.#bad >= MAX_BAD_FRAMES) this.#end(CLOSE.overloaded, error.message);
    return false;
  }

  #dispatch(frame: ClientFrame): void {
    if (frame.type === 'ping') {
      this.#answer(frame.id === undefined ? PONG : `{"type":"pong","id":${JSON.stringify(frame.id)}}`);
      return;
    }
    if (this.#outstanding >= MAX_OUTSTANDING) {
      const error = new FairleadError('ERR_TOO_MANY_REQUESTS', `${MAX_OUTSTANDING} frames are unanswered already`, {
        retryAfterMs: 1_000,
      });
      this.#fail(error, frame.id);
      return;
    }
    void this.#ask(frame);
  }

  /** Answers only a failure: what the frame changes reaches every subscriber as events. */
  async #ask(frame: Exclude<ClientFrame, { type: 'ping' }>): Promise<void> {
    this.#outstanding++;
    try {
      await this.#request(frame);
    } catch (error) {
      const { code, message } = errorToData(error);
      if (code === 'ERR_INTERNAL') {
        const of = { requestId: this.#requestId, session: this.#session };
        this.#context.log.error({ ...of, err: message }, frame.type);
      }
      this.#fail(error, frame.id);
    } finally {
      this.#outstanding--;
    }
  }

  #request(frame: Exclude<ClientFrame, { type: 'ping' }>): Promise<unknown> {
    if (frame.type === 'auth:refresh') return this.#refresh(frame);
    const asker = { user: this.user, session: this.#session, who: this.#who() };
    return askAgent(this.#context.agents, asker, frame, this.#requestId);
  }

  async #refresh({ id, token }: Extract<ClientFrame, { type: 'auth:refresh' }>): Promise<void> {
    const known = { user: this.user, address: this.#address };
    const newer = await newerCredential(this.#context, known, token);
    if (!this.#socket) return;
    if (newer instanceof FairleadError) return this.#refuse(newer);
    this.person = newer;
    this.#context.presence.renewed(this);
    this.#answer(refreshedFrame(newer, id));
  }

  #who(): Who {
    return whoOf(this.person, this.#address);
  }

  /** Sends the blocks that stream now, whole; until then streaming events are skipped. */
  async #catchUp(): Promise<void> {
    this.#catchingUp = true;
    const frames = await catchUpFrames(this.#context, { user: this.user, session: this.#session });
    this.#catchingUp = false;
    this.#behind = false;
    this.send(frames);
  }

  /** Answers this socket alone. Answers are never skipped, so a client that sends without reading is cut in the end. */
  #answer(json: string): void {
    if (!this.#socket) return;
    frameCounts.out++;
    if (this.#socket.send(json) === DROPPED) this.#cut();
  }

  #fail(error: unknown, id?: string): void {
    this.#answer(toErrorFrame(error, { id, requestId: this.#requestId }));
  }

  #refuse(thrown: unknown): void {
    const error = errorToData(thrown);
    if (error.code === 'ERR_INTERNAL') {
      this.#context.log.error({ requestId: this.#requestId, err: error.message }, 'attach failed');
    }
    this.#end(closeCodeOf(error.code), publicMessage(error));
  }

  #cut(): void {
    slowReaderCloses.inc();
    this.#socket?.close();
  }

  #end(code: number, reason: string): void {
    this.#socket?.end(code, clipBytes(reason));
  }
}

function clipBytes(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON) return reason;
  // A character that is cut in half decodes to U+FFFD.
  return bytes
    .subarray(0, MAX_REASON - 3)
    .toString()
    .replace(/\uFFFD$/, '');
}

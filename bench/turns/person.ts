/** One simulated user at Fairlead's WebSocket: sends a message, reads the answer, and approves calls. */
import type { ServerEvent } from '../../src/shared/protocol.js';
import type { TurnSample } from './messages.js';
import { answerText, askText, type Ask, type Pace } from './script.js';
import { WireSocket } from './wire-socket.js';

const DELTA = '{"type":"text:delta"';

interface RunningTurn {
  id: string;
  startedAt: number;
  sample: TurnSample;
  lastText: string;
  toolAt: number;
  end: (error?: string) => void;
}

export class Person {
  readonly #wsUrl: string;
  readonly #pace: Pace;
  readonly #answer: string;
  #socket: WireSocket | undefined;
  #turns = 0;
  #running: RunningTurn | undefined;
  #onReady: ((failed?: Error) => void) | undefined;
  #pinged: { at: number; resolve: (ms: number | undefined) => void } | undefined;

  constructor(wsUrl: string, pace: Pace) {
    this.#wsUrl = wsUrl;
    this.#pace = pace;
    this.#answer = answerText(pace);
  }

  /** Opens a session unless there is one. */
  async attach(): Promise<void> {
    if (this.#socket) return;
    const ready = new Promise<void>((resolve, reject) => {
      this.#onReady = (failed) => (failed ? reject(failed) : resolve());
    });
    ready.catch(() => undefined); // awaited below, unless the socket fails first and says the same
    this.#turns = 0;
    this.#socket = await WireSocket.open(this.#wsUrl, {
      onText: (text) => this.#take(text),
      onEnd: (why) => this.#ended(why),
    });
    await ready;
  }

  leave(): void {
    this.#socket?.close();
    this.#ended('left');
  }

  /** Never rejects: a failure is the sample's error, and the user comes back with a new session. */
  async turn(ask: Ask): Promise<TurnSample> {
    const sample: TurnSample = { ask, acceptedMs: Number.NaN, firstMs: Number.NaN, turnMs: Number.NaN };
    try {
      if (this.#turns >= this.#pace.turnsPerSession) this.leave();
      await this.attach();
    } catch (error) {
      this.leave();
      return { ...sample, error: `attach: ${(error as Error).message}` };
    }
    const error = await this.#say(sample);
    if (error === undefined) return sample;
    this.leave();
    return { ...sample, error };
  }

  /** ms to the answer; undefined where there is no socket, or it ends first. */
  async ping(): Promise<number | undefined> {
    const socket = this.#socket;
    if (!socket || this.#pinged) return undefined;
    return await new Promise((resolve) => {
      this.#pinged = { at: performance.now(), resolve };
      socket.send('{"type":"ping"}');
    });
  }

  /** Resolves with what went wrong. */
  #say(sample: TurnSample): Promise<string | undefined> {
    const id = `m-${++this.#turns}`;
    return new Promise((resolve) => {
      const { turnTimeoutMs } = this.#pace;
      const end = (error?: string): void => {
        clearTimeout(timer);
        this.#running = undefined;
        resolve(error);
      };
      const timer = setTimeout(end, turnTimeoutMs, `no end of the turn in ${turnTimeoutMs} ms`);
      this.#running = { id, startedAt: performance.now(), sample, lastText: '', toolAt: 0, end };
      this.#socket?.send(JSON.stringify({ type: 'message', id, text: askText(sample.ask, this.#turns) }));
    });
  }

  #ended(why: string): void {
    this.#socket = undefined;
    this.#pinged?.resolve(undefined);
    this.#pinged = undefined;
    this.#onReady?.(new Error(why));
    this.#running?.end(why);
  }

  #take(text: string): void {
    const turn = this.#running;
    // Nearly all frames are deltas, and parsing them would be a user's largest cost.
    if (text.startsWith(DELTA)) {
      if (turn && Number.isNaN(turn.sample.firstMs)) turn.sample.firstMs = performance.now() - turn.startedAt;
      return;
    }
    const event = JSON.parse(text) as ServerEvent;
    if (event.type === 'session:ready') this.#onReady?.();
    else if (event.type === 'pong') this.#ponged();
    else if (turn) this.#follow(turn, event);
  }

  #ponged(): void {
    this.#pinged?.resolve(performance.now() - this.#pinged.at);
    this.#pinged = undefined;
  }

  #follow(turn: RunningTurn, event: ServerEvent): void {
    const { sample, startedAt } = turn;
    switch (event.type) {
      case 'message:accepted':
        if (event.id === turn.id) sample.acceptedMs = performance.now() - startedAt;
        return;
      case 'text':
        turn.lastText = event.text;
        return;
      case 'tool:approval_required':
        setTimeout(() => this.#approve(event.callId), this.#pace.approveMs);
        return;
      case 'tool:start':
        turn.toolAt = performance.now();
        return;
      case 'tool:result':
        sample.toolMs = performance.now() - turn.toolAt;
        if (!event.ok) turn.end(`the tool failed: ${JSON.stringify(event.content).slice(0, 200)}`);
        return;
      case 'error':
        turn.end(event.code);
        return;
      case 'turn:end':
        sample.turnMs = performance.now() - startedAt;
        turn.end(this.#judge(turn, event));
        return;
      default:
        return;
    }
  }

  #approve(callId: string): void {
    this.#socket?.send(JSON.stringify({ type: 'tool:approval', callId, approved: true }));
  }

  #judge({ sample, lastText }: RunningTurn, event: ServerEvent & { type: 'turn:end' }): string | undefined {
    if (event.stopReason !== 'end_turn') return `the turn ended with ${event.stopReason} ${event.error?.code ?? ''}`;
    if (lastText !== this.#answer) return 'the answer is not what the model said';
    if (Number.isNaN(sample.firstMs)) return 'no text was streamed';
    return sample.ask !== 'talk' && sample.toolMs === undefined ? 'no tool ran' : undefined;
  }
}

/** One user of the soak: a session from its first socket to its deletion, with cuts and returns in between. */
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import type { Random } from '../history/random.js';

const PATIENCE_MS = 60_000;
const CANCELS = 0.1;
const CUTS = 0.25;
const LEAVES = 0.25;

export interface PersonOptions {
  url: string;
  random: Random;
  /** The longest pause between two turns. */
  thinkMs: number;
  /** The longest absence after leaving. */
  awayMs: number;
  /** Share of the turns that call a tool. */
  toolShare: number;
  signal: AbortSignal;
  /** Told of each ended turn. */
  onTurn: (kind: 'text' | 'tool') => void;
}

export class Person {
  readonly #options: PersonOptions;
  #client: TestClient | undefined;
  #session = '';
  #lastSeq = 0;

  constructor(options: PersonOptions) {
    this.#options = options;
  }

  /** Rejects with the failure; deletes the session in any case, if it can. */
  async live(): Promise<void> {
    const { random, thinkMs, toolShare } = this.#options;
    await this.#attach();
    try {
      for (let turns = random.int(2, 6); turns > 0; turns--) {
        const kind = random.chance(toolShare) ? 'tool' : 'text';
        await (kind === 'tool' ? this.#toolTurn() : this.#textTurn());
        this.#options.onTurn(kind);
        if (random.chance(LEAVES)) await this.#leaveAndReturn();
        await this.#wait(thinkMs);
      }
      await this.#detach();
    } finally {
      this.#client?.socket.terminate();
      await this.#delete();
    }
  }

  /** Cuts the socket without a close frame. */
  cut(): void {
    this.#client?.socket.terminate();
  }

  async #textTurn(): Promise<void> {
    const { random } = this.#options;
    const turn = await this.#say('What do you think of it?');
    const fate = random.next();
    if (fate < CANCELS) {
      await this.#attached.waitFor('text:delta', { timeoutMs: PATIENCE_MS });
      this.#attached.send({ type: 'turn:cancel' });
      await this.#end(turn, ['cancelled', 'end_turn']); // the turn may have ended just before
      return;
    }
    if (fate < CANCELS + CUTS) {
      await this.#attached.waitFor('text:delta', { timeoutMs: PATIENCE_MS });
      if (await this.#cutAndReturn(turn)) return;
    }
    await this.#end(turn, ['end_turn']);
  }

  async #toolTurn(): Promise<void> {
    const turn = await this.#say('List all files in /workspace');
    const { callId } = await this.#attached.waitFor('tool:approval_required', { timeoutMs: PATIENCE_MS });
    this.#attached.approve(callId);
    const result = await this.#attached.waitFor('tool:result', { timeoutMs: PATIENCE_MS });
    if (!result.ok) throw new Error(`a tool failed: ${JSON.stringify(result.content).slice(0, 200)}`);
    await this.#end(turn, ['end_turn']);
  }

  async #say(text: string): Promise<number> {
    this.#attached.say(text);
    return (await this.#attached.waitFor('message:accepted', { timeoutMs: PATIENCE_MS })).turn;
  }

  async #end(turn: number, expected: readonly string[]): Promise<void> {
    const { stopReason } = await this.#attached.turnEnd(turn, { timeoutMs: PATIENCE_MS });
    if (!expected.includes(stopReason)) throw new Error(`a turn ended with ${stopReason}`);
  }

  /** Cuts in the middle of a turn. Resolves with whether its end came before the cut. */
  async #cutAndReturn(turn: number): Promise<boolean> {
    const { events } = this.#attached;
    await this.#detach(true);
    await this.#attach();
    return events.some((event) => event.type === 'turn:end' && event.turn === turn);
  }

  async #leaveAndReturn(): Promise<void> {
    await this.#detach(this.#options.random.chance(0.5));
    await this.#wait(this.#options.awayMs);
    await this.#attach();
  }

  async #attach(): Promise<void> {
    const { url, signal } = this.#options;
    signal.throwIfAborted();
    const resumed = this.#session === '' ? {} : { session: this.#session, after: this.#lastSeq };
    this.#client = await connect(url, resumed);
    this.#session = (await this.#client.ready).session;
  }

  async #detach(cut = false): Promise<void> {
    const client = this.#attached;
    await (cut ? client.terminate() : client.close());
    this.#client = undefined;
    this.#lastSeq = Math.max(this.#lastSeq, client.lastSeq);
    const [gap] = client.gaps();
    if (gap !== undefined) throw new Error(`the protocol was broken: ${gap}`);
  }

  async #delete(): Promise<void> {
    if (this.#session === '' || this.#options.signal.aborted) return;
    const answer = await fetch(`${this.#options.url}/v1/sessions/${this.#session}`, { method: 'DELETE' });
    if (answer.status !== 204)
      throw new Error(`a session’s deletion was answered with ${answer.status}: ${await answer.text()}`);
  }

  get #attached(): TestClient {
    if (!this.#client) throw new Error('there is no socket');
    return this.#client;
  }

  /** Users pause, so that this is a soak and not a load test. */
  async #wait(mostMs: number): Promise<void> {
    const { random, signal } = this.#options;
    await pause(random.next() * mostMs, undefined, { signal });
  }
}

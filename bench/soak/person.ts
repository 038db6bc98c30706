/** One user of the soak with the client library: a session from its first socket to its deletion, with cuts and returns in between. */
import { setTimeout as pause } from 'node:timers/promises';
import { Fairlead } from '../../src/client/node.js';
import { NodeSocket } from '../../src/client/node-socket.js';
import type { Session } from '../../src/client/session.js';
import type { SessionEvent } from '../../src/client/session-event.js';
import { within } from '../../test/helpers/processes.js';
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

type EventOf<T extends SessionEvent['type']> = Extract<SessionEvent, { type: T }>;

export class Person {
  readonly #options: PersonOptions;
  readonly #fairlead: Fairlead;
  #socket: NodeSocket | undefined;
  #open: Session | undefined;
  #session = '';
  #seq: number | undefined;

  constructor(options: PersonOptions) {
    this.#options = options;
    const keep = (socket: NodeSocket): void => {
      this.#socket = socket;
    };
    class Kept extends NodeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        keep(this);
      }
    }
    this.#fairlead = new Fairlead({ url: options.url, WebSocket: Kept });
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
    } finally {
      await this.#detach();
      await this.#delete();
    }
  }

  /** Closes the session; promises that wait for an event of it are rejected. */
  leave(): void {
    void this.#open?.close();
  }

  async #textTurn(): Promise<void> {
    const { random } = this.#options;
    const fate = random.next();
    const written = this.#next('text:delta');
    const turn = await this.#say('What do you think of it?');
    if (fate >= CANCELS + CUTS) return this.#end(turn, ['end_turn']);
    const ended = this.#end(turn, fate < CANCELS ? ['cancelled', 'end_turn'] : ['end_turn']); // it may have ended just before
    await written;
    if (fate < CANCELS) this.#attached.cancel();
    else this.#cut();
    return ended;
  }

  async #toolTurn(): Promise<void> {
    const asked = this.#next('tool:approval_required');
    const told = this.#next('tool:result');
    const turn = await this.#say('List all files in /workspace');
    const ended = this.#end(turn, ['end_turn']);
    await this.#attached.approve((await asked).callId);
    const result = await told;
    if (!result.ok) throw new Error(`a tool failed: ${JSON.stringify(result.content).slice(0, 200)}`);
    return ended;
  }

  /** Cuts the socket without a close frame; the client comes back by itself. */
  #cut(): void {
    this.#socket?.terminate();
  }

  async #say(text: string): Promise<number> {
    const { turn } = await within(this.#attached.send(text), PATIENCE_MS, () => 'a message was not accepted');
    if (turn === undefined) throw new Error('the acceptance of a message was lost');
    return turn;
  }

  async #end(turn: number, expected: readonly string[]): Promise<void> {
    const { stopReason } = await this.#next('turn:end', (event) => event.turn === turn);
    if (!expected.includes(stopReason)) throw new Error(`a turn ended with ${stopReason}`);
  }

  /** The next one that comes. A rejection is told to whoever waits for it. */
  #next<T extends SessionEvent['type']>(
    type: T,
    matches: (event: EventOf<T>) => boolean = () => true,
  ): Promise<EventOf<T>> {
    const session = this.#attached;
    let stop: (() => void) | undefined;
    const come = new Promise<EventOf<T>>((resolve, reject) => {
      stop = session.on((event) => {
        if (event.type === type && matches(event as EventOf<T>)) resolve(event as EventOf<T>);
        else if (event.type === 'connection:closed') reject(new Error(`no ${type}: ${event.why}`));
      });
    });
    const timely = within(come, PATIENCE_MS, () => `no ${type} came`).finally(() => stop?.());
    timely.catch(() => undefined);
    return timely;
  }

  async #leaveAndReturn(): Promise<void> {
    if (this.#options.random.chance(0.5)) this.#cut();
    await this.#detach();
    await this.#wait(this.#options.awayMs);
    await this.#attach();
  }

  async #attach(): Promise<void> {
    this.#options.signal.throwIfAborted();
    const resumed = this.#session === '' ? {} : { session: this.#session, after: this.#seq };
    this.#open = this.#fairlead.open({ ...resumed, giveUpAfterMs: PATIENCE_MS });
    this.#session = (await this.#next('session:ready')).session;
  }

  async #detach(): Promise<void> {
    this.#seq = this.#open?.seq;
    await this.#open?.close();
    this.#open = undefined;
  }

  async #delete(): Promise<void> {
    if (this.#session === '' || this.#options.signal.aborted) return;
    await this.#fairlead.deleteSession(this.#session);
  }

  get #attached(): Session {
    if (!this.#open) throw new Error('the session is not open');
    return this.#open;
  }

  /** Users pause, so that this is a soak and not a load test. */
  async #wait(mostMs: number): Promise<void> {
    const { random, signal } = this.#options;
    await pause(random.next() * mostMs, undefined, { signal });
  }
}

/** A user who wants one turn after another done, through the client library: it comes back and repeats what was not answered. Runs in tests. */
import { Fairlead } from '../../../src/client/node.js';
import type { Session } from '../../../src/client/session.js';
import type { SessionEvent } from '../../../src/client/session-event.js';
import { within } from '../../helpers/processes.js';
import { connect, type TestClient } from '../../helpers/ws-client.js';
import type { TurnWish } from '../model-script.js';
import { pick } from '../random.js';
import type { ServerName } from '../parts.js';
import type { World } from '../world.js';
import { SessionRecord } from './session-record.js';
import { socketsOf, type UserSocket } from './user-socket.js';

/** Whoever waits longer waits for ever. */
const PATIENCE_MS = 120_000;
const AGAIN_MS = 150;
const LATE_MS = 2_500;
const STORM = 10;

export interface ChattyUserOptions {
  world: World;
  name: string;
  random: () => number;
}

export class ChattyUser {
  readonly name: string;
  readonly record = new SessionRecord();
  /** Other devices of the same user, which only listen. */
  readonly others: { record: SessionRecord; client: TestClient }[] = [];
  readonly violations: string[] = [];
  readonly wishes = new Map<string, TurnWish>();
  server: ServerName = 'a';
  turns = 0;
  /** Whether the session changed servers: its files stay where they were made. */
  moved = false;
  readonly #world: World;
  readonly #random: () => number;
  readonly #watchers = new Set<() => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #sockets = new Set<UserSocket>();
  #session: Session | undefined;
  #wantsCancel = false;
  #left = false;

  constructor({ world, name, random }: ChattyUserOptions) {
    this.#world = world;
    this.name = name;
    this.#random = random;
  }

  get session(): string {
    return this.#session?.id ?? '';
  }

  /** Takes turn after turn until `enough` says so. */
  async live(enough: () => boolean): Promise<void> {
    this.#session = this.#open();
    while (!enough()) await this.#takeTurn();
  }

  /** One more turn, without faults: how it ended, and what its tool said. */
  async lastTurn(): Promise<{ stopReason: string; text: string }> {
    const id = this.#say({ rounds: [['effects:x']], pieces: 1 });
    const turn = await this.#accepted(id);
    await this.#until(`the end of turn ${turn}`, () => this.record.ended.has(turn));
    const result = this.record.events.findLast((event) => event.type === 'tool:result');
    const block = result?.type === 'tool:result' ? result.content.at(-1) : undefined;
    return { stopReason: this.record.ended.get(turn)!.stopReason, text: block?.type === 'text' ? block.text : '' };
  }

  /** The socket is cut without a close frame. */
  cut(): void {
    for (const socket of this.#sockets) if (!socket.isLeft) socket.terminate();
  }

  slowDown(ms: number): void {
    for (const socket of this.#sockets) {
      socket.pause();
      this.#later(() => socket.resume(), ms);
    }
  }

  async storm(): Promise<void> {
    for (let i = 0; i < STORM && !this.#left; i++) {
      await this.#until('a connection', () => this.#left || this.#session?.state === 'live');
      this.cut();
    }
  }

  /** Attaches a second device, which reads from the first event on. */
  async addDevice(): Promise<void> {
    if (this.session === '') return;
    const record = new SessionRecord();
    try {
      const client = await connect(this.#world.server(this.server).wsUrl, {
        session: this.session,
        after: 0,
        crashes: true,
      });
      client.follow((event) => record.take(event));
      this.others.push({ record, client });
    } catch (error) {
      this.#world.note(`${this.name}: no second device (${(error as Error).message})`);
    }
  }

  /** Goes on at the other server and tells this one nothing: the socket there stays until that server notices the takeover, or the user leaves. */
  move(): void {
    this.server = this.server === 'a' ? 'b' : 'a';
    this.moved = true;
    for (const socket of this.#sockets) socket.isLeft = true;
    this.#session?.reconnect();
  }

  async leave(): Promise<void> {
    this.#left = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#session?.close();
    for (const socket of this.#sockets) socket.cut();
    for (const { record, client } of this.others) {
      client.resume();
      client.socket.terminate();
      this.violations.push(...client.gaps().filter((problem) => !problem.startsWith('socket:')), ...record.violations);
    }
  }

  async #takeTurn(): Promise<void> {
    const random = this.#random;
    const calls = (): string[] =>
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => `${pick(['bump', 'careful', 'bump'], random())}:x`);
    const rounds = Array.from({ length: Math.floor(random() * 3) }, calls);
    const naps = random() < 0.08;
    const pieces = 1 + Math.floor(random() * 12);
    const ids = [this.#say({ rounds: naps ? [...rounds, ['nap:x']] : rounds, pieces })];
    // Sometimes one more message is queued behind it.
    if (random() < 0.15) ids.push(this.#say({ rounds: [], pieces: 2 }));
    const cancels = naps || random() < 0.12;
    const turns: number[] = [];
    for (const id of ids) turns.push(await this.#accepted(id));
    if (cancels) this.#later(() => this.#cancel(), (naps ? 1_500 : 600) * random() + (naps ? 500 : 0));
    for (const turn of turns) {
      await this.#until(`the end of turn ${turn}`, () => this.record.ended.has(turn));
      this.turns++;
      if (turn === turns[0]) this.#wantsCancel = false;
    }
  }

  #cancel(): void {
    this.#wantsCancel = true;
    this.#session?.cancel();
  }

  /** Each effect has the name of its call, so a repetition anywhere shows. */
  #say({ rounds, pieces }: Pick<TurnWish, 'rounds' | 'pieces'>): string {
    const id = `${this.name}-${this.wishes.size + 1}`;
    const named = rounds.map((calls, round) =>
      calls.map((call, index) => call.replace(/x$/, `${id}-${round}-${index}`)),
    );
    const wish: TurnWish = { id, rounds: named, pieces };
    this.wishes.set(id, wish);
    const refused = (error: Error): unknown =>
      this.#left || this.violations.push(`${id} was refused: ${error.message}`);
    void this.#session?.send(JSON.stringify(wish), { id }).catch(refused);
    return id;
  }

  async #accepted(id: string): Promise<number> {
    await this.#until(`${id} to be accepted`, () => this.record.accepted.has(id));
    return this.record.accepted.get(id)!;
  }

  #later(work: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#left) work();
    }, ms);
    this.#timers.add(timer);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return;
    let check: (() => void) | undefined;
    const come = new Promise<void>((resolve) => {
      check = () => {
        if (holds()) resolve();
      };
      this.#watchers.add(check);
    });
    try {
      await within(
        come,
        PATIENCE_MS,
        () => `${this.name} (${this.session} at ${this.server}) waits for ${what}: ${this.#tell()}`,
      );
    } finally {
      if (check) this.#watchers.delete(check);
    }
  }

  #tell(): string {
    const last = this.record.events.slice(-4).map((event) => JSON.stringify(event).slice(0, 200));
    return `asked ${[...this.record.asked].join()}, ${this.#session?.state ?? 'never connected'}, last ${last.join(' ')}`;
  }

  #open(): Session {
    const WebSocket = socketsOf(this.#sockets, () => this.#world.server(this.server).wsUrl);
    const session = new Fairlead({ url: this.#world.server(this.server).url, WebSocket }).open({
      backoffMs: () => AGAIN_MS,
      giveUpAfterMs: Infinity,
      maxResends: Infinity,
    });
    session.on((event) => this.#receive(session, event));
    return session;
  }

  #receive(session: Session, event: SessionEvent): void {
    if (event.type === 'connection:closed') {
      if (!this.#left) this.violations.push(`could not come back: ${event.error?.message ?? event.why}`);
    } else if (event.type === 'error') {
      this.#world.note(`${this.name}: ${event.code} ${event.id ?? ''}`);
      if (this.#wantsCancel) this.#later(() => session.cancel(), Math.min(event.retryAfterMs ?? AGAIN_MS, 1_000));
    } else if ('seq' in event) {
      if (this.record.take(event)) {
        if (event.type === 'tool:approval_required') this.#answerLate(event.callId);
        // The client keeps no cancel: it could hit another turn.
      } else if (this.#wantsCancel) session.cancel();
    }
    for (const watcher of this.#watchers) watcher();
  }
  /** Approves most calls, denies some, and leaves some to their timeout. */
  #answerLate(callId: string): void {
    const draw = this.#random();
    if (draw < 0.04) return;
    this.#later(() => {
      if (!this.record.asked.has(callId)) return;
      // A refusal comes as an event, and what became of the call too.
      void (draw < 0.85 ? this.#session?.approve(callId) : this.#session?.deny(callId, 'no'));
    }, this.#random() * LATE_MS);
  }
}

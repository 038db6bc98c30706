/** A user who wants one turn after another done, reconnects whenever cut, and repeats what was not answered. Runs in tests. */
import { WebSocket } from 'ws';
import { within } from '../../helpers/processes.js';
import { connect, type ServerEvent, type TestClient } from '../../helpers/ws-client.js';
import type { TurnWish } from '../model-script.js';
import { pick } from '../random.js';
import type { ServerName } from '../parts.js';
import type { World } from '../world.js';
import { SessionRecord } from './session-record.js';

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
  session = '';
  server: ServerName = 'a';
  turns = 0;
  /** Whether the session changed servers: its files stay where they were made. */
  moved = false;
  readonly #world: World;
  readonly #random: () => number;
  /** Messages that are sent and not accepted yet, by id. */
  readonly #unanswered = new Map<string, string>();
  readonly #watchers = new Set<() => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #client: TestClient | undefined;
  #connecting: Promise<void> | undefined;
  #wantsCancel = false;
  #left = false;

  constructor({ world, name, random }: ChattyUserOptions) {
    this.#world = world;
    this.name = name;
    this.#random = random;
  }

  /** Takes turn after turn until `enough` says so. */
  async live(enough: () => boolean): Promise<void> {
    await this.#connect();
    while (!enough()) await this.#takeTurn();
  }

  /** One more turn, without faults: how it ended, and what its tool said. */
  async lastTurn(): Promise<{ stopReason: string; text: string }> {
    const id = await this.#say({ rounds: [['effects:x']], pieces: 1 });
    const turn = await this.#accepted(id);
    await this.#until(`the end of turn ${turn}`, () => this.record.ended.has(turn));
    const result = this.record.events.findLast((event) => event.type === 'tool:result');
    const block = result?.type === 'tool:result' ? result.content.at(-1) : undefined;
    return { stopReason: this.record.ended.get(turn)!.stopReason, text: block?.type === 'text' ? block.text : '' };
  }

  /** The socket is cut without a close frame. */
  cut(): void {
    this.#client?.socket.terminate();
  }

  slowDown(ms: number): void {
    const client = this.#client;
    if (!client) return;
    client.pause();
    this.#later(() => client.resume(), ms);
  }

  async storm(): Promise<void> {
    for (let i = 0; i < STORM && !this.#left; i++) {
      await this.#connect();
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

  /** Goes on at the other server and tells this one nothing. */
  async move(): Promise<void> {
    this.server = this.server === 'a' ? 'b' : 'a';
    this.moved = true;
    const before = this.#client;
    this.#client = undefined;
    await this.#connecting; // an attempt that has just succeeded must not be taken for the new one
    await new Promise(setImmediate);
    await this.#connect();
    // The socket at the old server stays open until that server notices the takeover, or the user leaves.
    if (before && before.socket.readyState === WebSocket.OPEN)
      this.others.push({ record: this.record, client: before });
  }

  async leave(): Promise<void> {
    this.#left = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const clients = [this.#client, ...this.others.map(({ client }) => client)];
    for (const client of clients) {
      if (!client) continue;
      client.resume();
      client.socket.terminate();
      this.violations.push(...client.gaps().filter((problem) => !problem.startsWith('socket:')));
    }
    for (const { record } of this.others) if (record !== this.record) this.violations.push(...record.violations);
  }

  async #takeTurn(): Promise<void> {
    const random = this.#random;
    const calls = (): string[] =>
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => `${pick(['bump', 'careful', 'bump'], random())}:x`);
    const rounds = Array.from({ length: Math.floor(random() * 3) }, calls);
    const naps = random() < 0.08;
    const pieces = 1 + Math.floor(random() * 12);
    const ids = [await this.#say({ rounds: naps ? [...rounds, ['nap:x']] : rounds, pieces })];
    // Sometimes one more message is queued behind it.
    if (random() < 0.15) ids.push(await this.#say({ rounds: [], pieces: 2 }));
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
    this.#send({ type: 'turn:cancel' });
  }

  /** Each effect has the name of its call, so a repetition anywhere shows. */
  async #say({ rounds, pieces }: Pick<TurnWish, 'rounds' | 'pieces'>): Promise<string> {
    const id = `${this.name}-${this.wishes.size + 1}`;
    const named = rounds.map((calls, round) =>
      calls.map((call, index) => call.replace(/x$/, `${id}-${round}-${index}`)),
    );
    const wish: TurnWish = { id, rounds: named, pieces };
    this.wishes.set(id, wish);
    this.#unanswered.set(id, JSON.stringify(wish));
    this.#send({ type: 'message', id, text: JSON.stringify(wish) });
    return id;
  }

  async #accepted(id: string): Promise<number> {
    await this.#until(`${id} to be accepted`, () => this.record.accepted.has(id));
    return this.record.accepted.get(id)!;
  }

  #send(frame: Parameters<TestClient['send']>[0]): void {
    if (this.#client?.socket.readyState === WebSocket.OPEN) this.#client.send(frame);
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
    return `asked ${[...this.record.asked].join()}, socket ${this.#client?.socket.readyState}, last ${last.join(' ')}`;
  }

  /** Resolves when a socket is open and ready; concurrent callers share one attempt. */
  #connect(): Promise<void> {
    this.#connecting ??= this.#tryToConnect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #tryToConnect(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    let why = '';
    while (!this.#left) {
      if (this.#client?.socket.readyState === WebSocket.OPEN) return;
      if (performance.now() > deadline) {
        this.violations.push(`could not come back: ${why}`);
        throw new Error(`${this.name} could not come back: ${why}`);
      }
      try {
        await this.#attach();
        return;
      } catch (error) {
        why = (error as Error).message;
        if (/4404|4400/.test(why)) this.violations.push(`was refused: ${why}`);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  async #attach(): Promise<void> {
    const { wsUrl } = this.#world.server(this.server);
    this.#client = undefined; // frames of a closing socket would come twice, with the replay
    const resume = this.session === '' ? {} : { session: this.session, after: this.record.lastSeq };
    const client = await connect(wsUrl, { ...resume, crashes: true });
    this.#client = client;
    client.follow((event) => {
      if (this.#client === client) this.#receive(event);
    });
    client.socket.once('close', () => {
      this.violations.push(...client.gaps().filter((problem) => !problem.startsWith('socket:')));
      if (this.#client !== client) return;
      this.#client = undefined;
      // Deferred: an attempt that has just succeeded must not be taken for one under way.
      if (!this.#left) setImmediate(() => void this.#connect().catch(() => undefined)); // recorded as a violation
    });
    try {
      const ready = await client.ready;
      this.session = ready.session;
      for (const call of ready.pending) if (call.kind === 'approval') this.#answerLate(call.callId);
    } catch (error) {
      if (this.#client === client) this.#client = undefined;
      client.socket.terminate();
      throw error;
    }
    for (const [id, text] of this.#unanswered) this.#send({ type: 'message', id, text });
    if (this.#wantsCancel) this.#send({ type: 'turn:cancel' });
  }

  #receive(event: ServerEvent): void {
    if (this.record.take(event)) {
      if (event.type === 'message:accepted' && event.id !== undefined) this.#unanswered.delete(event.id);
      if (event.type === 'tool:approval_required') this.#answerLate(event.callId);
    } else if (event.type === 'error') this.#sendAgain(event);
    for (const watcher of this.#watchers) watcher();
  }

  /** The server refused for now: repeats the message later, under the same id. */
  #sendAgain({ id, code, retryAfterMs }: ServerEvent & { type: 'error' }): void {
    this.#world.note(`${this.name}: ${code} ${id ?? ''}`);
    if (code === 'ERR_CALL_NOT_PENDING' || code === 'ERR_DUPLICATE_MESSAGE') return;
    this.#later(
      () => {
        const text = id === undefined ? undefined : this.#unanswered.get(id);
        if (id !== undefined && text !== undefined) this.#send({ type: 'message', id, text });
        for (const callId of this.record.asked) this.#answerLate(callId);
        if (this.#wantsCancel) this.#send({ type: 'turn:cancel' });
      },
      Math.min(retryAfterMs ?? AGAIN_MS, 1_000),
    );
  }

  /** Approves most calls, denies some, and leaves some to their timeout. */
  #answerLate(callId: string): void {
    const draw = this.#random();
    if (draw < 0.04) return;
    this.#later(() => {
      if (!this.record.asked.has(callId)) return;
      this.#send({ type: 'tool:approval', callId, approved: draw < 0.85, ...(draw < 0.85 ? {} : { reason: 'no' }) });
    }, this.#random() * LATE_MS);
  }
}

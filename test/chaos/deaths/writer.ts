/** A user whose agent writes without a pause, and who counts: what a result confirmed is there, or was called lost. Runs in tests. */
import { WebSocket } from 'ws';
import { connect, type EventOf, type ServerEvent, type TestClient } from '../../helpers/ws-client.js';
import type { TurnWish } from '../model-script.js';
import { SessionRecord, type Seen } from '../system/session-record.js';
import type { World } from '../world.js';

/** Longer than a queued lease, a start and a tool's own deadline together: whoever waits longer waits for ever. */
const ANSWER_MS = 90_000;
const AGAIN_MS = 200;

interface Written {
  text: string;
  /** Of the result that confirmed it, and when that came. */
  seq: number;
  at: number;
}

export interface WriterFigures {
  confirmed: number;
  /** Of the confirmed texts: gone, and called so. */
  toldLost: number;
  losses: number;
  /** The longest time between a text that was lost and the event that says so, ms. */
  oldestLostMs: number;
  /** The longest time of work that one loss took, from its oldest text to the last one that was confirmed, without outages, ms. */
  oldestWorkMs: number;
}

export class Writer {
  readonly violations: string[] = [];
  readonly figures: WriterFigures = { confirmed: 0, toldLost: 0, losses: 0, oldestLostMs: 0, oldestWorkMs: 0 };
  readonly #world: World;
  readonly #record = new SessionRecord();
  readonly #texts = new Map<string, string>();
  /** When each text was confirmed. */
  readonly #confirmed: number[] = [];
  /** When each `sandbox:lost` came, and when the last text before it was confirmed, by its seq. */
  readonly #lostAt = new Map<number, { toldAt: number; workedUntil: number }>();
  session = '';
  #client: TestClient | undefined;
  /**
   * Texts that a read did not show, with the read's seq. The next read decides: a tool whose programs are killed in the middle
   * answers with half of what is there.
   */
  readonly #missed = new Map<string, number>();
  /** Confirmed, and not known to be gone. */
  #there: Written[] = [];
  #said = 0;
  #stopped = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** How many texts of this user were confirmed so far. */
  get confirmed(): number {
    return this.figures.confirmed;
  }

  /** Writes, and now and then reads all, until `stop`. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const done = this.#said % 4 === 3 ? await this.check() : await this.#turn(`bump:${this.session}-${this.#said}`);
      if (!done) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Reads all that is there, and judges it. False: it could not be read now. */
  async check(): Promise<boolean> {
    const before = [...this.#there];
    const result = await this.#turn('effects:');
    if (!result?.ok) return false;
    const block = result.content.at(-1);
    const there = new Set(block?.type === 'text' ? block.text.split(' ') : []);
    for (const written of before) {
      const missedAt = this.#missed.get(written.text);
      if (there.has(written.text)) this.#missed.delete(written.text);
      else if (missedAt === undefined) this.#missed.set(written.text, result.seq);
      else this.#judgeGone(written, missedAt);
    }
    return true;
  }

  /** Each loss must be in the next result of that server. */
  finish(): void {
    this.violations.push(...this.#record.violations.map((text) => `${this.session}: ${text}`));
    const { events } = this.#record;
    for (const [at, event] of events.entries()) {
      if (event.type !== 'sandbox:lost') continue;
      this.figures.losses++;
      const results = events.slice(at).filter(({ type }) => type === 'tool:result');
      // An interrupted call's result may say it too, and then no later one does.
      const next = results.find((each) => saysLoss(each) || !isInterrupted(each));
      if (next && !saysLoss(next))
        this.violations.push(`${this.session}: the result ${next.seq} says nothing of the loss ${event.seq}`);
    }
  }

  async leave(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client?.socket.readyState === WebSocket.OPEN) await client.close();
    else client?.socket.terminate();
  }

  #judgeGone(written: Written, readAt: number): void {
    const { text, seq, at } = written;
    this.#there = this.#there.filter((each) => each !== written);
    this.#missed.delete(text);
    const covered = this.#record.events.find(
      (event) =>
        event.type === 'sandbox:lost' &&
        event.seq > seq &&
        event.seq < readAt &&
        (event.since === undefined || event.since <= at),
    );
    if (!covered) {
      this.violations.push(`${this.session}: ${text} was lost without a word`);
      return;
    }
    const { toldAt, workedUntil } = this.#lostAt.get(covered.seq) ?? { toldAt: at, workedUntil: at };
    const workMs = this.#workedMs(at, workedUntil);
    this.#world.note(`${text} was ${toldAt - at} ms old, ${workMs} ms of work: ${JSON.stringify(covered)}`);
    this.figures.toldLost++;
    this.figures.oldestLostMs = Math.max(this.figures.oldestLostMs, toldAt - at);
    this.figures.oldestWorkMs = Math.max(this.figures.oldestWorkMs, workMs);
  }

  /** Without the times in which an outage kept this user from working: each lasts until the next text is confirmed. */
  #workedMs(from: number, to: number): number {
    let worked = 0;
    let since = from;
    for (const { from: lost, to: back } of this.#world.outages) {
      const served = this.#confirmed.find((at) => at > back) ?? to;
      if (served <= since || lost >= to) continue;
      worked += Math.max(0, lost - since); // less than 0: a text was on its way when it began
      since = Math.min(to, served);
    }
    return worked + to - since;
  }

  /** Undefined when the server went away, or the call did not run. */
  async #turn(call: string): Promise<(EventOf<'tool:result'> & Seen) | undefined> {
    const id = `${this.#said++}`;
    const wish: TurnWish = { id: `${this.session}-${id}`, rounds: [[call]], pieces: 1 };
    try {
      const client = await this.#attached();
      client.say(JSON.stringify(wish), wish.id);
      const accepted = await client.waitFor((event) => 'id' in event && event.id === wish.id, { timeoutMs: ANSWER_MS });
      if (accepted.type !== 'message:accepted') return undefined;
      await client.turnEnd(accepted.turn, { timeoutMs: ANSWER_MS });
      const from = this.#record.events.findIndex((e) => e.type === 'turn:start' && e.turn === accepted.turn);
      return this.#record.events.slice(from).find((event) => event.type === 'tool:result');
    } catch (error) {
      const { message } = error as Error;
      if (/ms passed/.test(message))
        this.violations.push(`${this.session}: ${call} was not answered: ${message.slice(0, 500)}`);
      await this.leave();
      return undefined;
    }
  }

  async #attached(): Promise<TestClient> {
    if (this.#client?.socket.readyState === WebSocket.OPEN) return this.#client;
    await this.leave();
    const { wsUrl } = await this.#world.up();
    const resume = this.session === '' ? {} : { session: this.session, after: this.#record.lastSeq };
    const client = await connect(wsUrl, resume);
    client.follow((event) => this.#take(event));
    this.session = (await client.ready).session;
    this.#client = client;
    return client;
  }

  #take(event: ServerEvent): void {
    if ('seq' in event && event.type !== 'session:ready' && event.seq <= this.#record.lastSeq) return;
    if (!this.#record.take(event)) return;
    if (event.type === 'sandbox:lost')
      this.#lostAt.set(event.seq, { toldAt: Date.now(), workedUntil: this.#confirmed.at(-1) ?? 0 });
    if (event.type === 'tool:start' && event.name === 'bump') this.#texts.set(event.callId, String(event.args['text']));
    if (event.type !== 'tool:result' || !event.ok) return;
    const text = this.#texts.get(event.callId);
    if (text === undefined) return;
    this.figures.confirmed++;
    const at = Date.now();
    this.#confirmed.push(at);
    this.#there.push({ text, seq: event.seq, at });
  }
}

function saysLoss(event: Seen): boolean {
  return JSON.stringify(event).includes('was replaced');
}

/** By a crash or a stop: it is nobody's answer. */
function isInterrupted(event: Seen): boolean {
  return event.type === 'tool:result' && /Interrupted: |ERR_DRAINING/.test(JSON.stringify(event.content));
}

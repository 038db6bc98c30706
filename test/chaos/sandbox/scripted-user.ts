/** A user with one session who does what the plan says: calls tools, leaves, comes back, and knows what the workspace must hold. Runs in tests. */
import { WebSocket } from 'ws';
import { connect, type EventOf, type ServerEvent, type TestClient } from '../../helpers/ws-client.js';
import { pick } from '../random.js';
import type { TurnWish } from '../model-script.js';
import { until } from '../../helpers/until.js';
import type { World } from '../world.js';

/** Longer than a queued lease, a start and a tool's own deadline together: whoever waits longer waits for ever. */
const ANSWER_MS = 60_000;
const CONNECT_MS = 30_000;

/** How a turn went; `lost`: the run took the server away in the middle. */
export type Outcome = 'ok' | 'failed' | 'lost' | 'refused';

interface Confirmed {
  marker: number;
  /** The world's `harm` and `deaths`. */
  harm: number;
  /** Sandboxes that the session has had. */
  leases: number;
}

interface Turn {
  outcome: Outcome;
  /** What the tool answered. */
  text: string;
}

export class ScriptedUser {
  readonly #world: World;
  /** '' until the first attach. */
  session = '';
  /** An event happens to this user now. */
  busy = true;
  /** Broken promises of the protocol and of the workspace, in words. */
  readonly problems: string[] = [];
  #client: TestClient | undefined;
  /** The world's, when the socket was opened. */
  #epoch = 0;
  #lastSeq = 0;
  #approves = true;
  /** A call that never ends may be under way. */
  #naps = false;
  #written = 0;
  /** The newest confirmed marker, and what had happened by then. */
  #confirmed: Confirmed | undefined;
  #said = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async open(): Promise<Outcome> {
    await this.#attach();
    return this.write();
  }

  /** What the last call that was answered said. */
  said = '';

  async write(): Promise<Outcome> {
    const marker = ++this.#written;
    const harm = this.#harm;
    const { outcome } = await this.#turn(`write:${this.session}#${marker}`);
    if (outcome === 'ok') this.#confirmed = { marker, harm, leases: this.#leases.length };
    return outcome;
  }

  /** Must find the session's own marker, no older than the confirmed one; or nothing, where its container was ended from outside. */
  async read(): Promise<{ outcome: Outcome; text: string }> {
    const { outcome, text } = await this.#turn('read:');
    if (outcome !== 'ok') return { outcome, text };
    const confirmed = this.#confirmed;
    const [owner, number] = text.split('#');
    if (text === '') {
      if (confirmed && !this.#mayHaveLost(confirmed))
        this.problems.push(`${this.session} lost its files for no reason`);
      this.#confirmed = undefined;
    } else if (owner !== this.session) {
      this.problems.push(`${this.session} read what is another's: ${text}`);
    } else if (confirmed && Number(number) < confirmed.marker && !this.#mayHaveLost(confirmed)) {
      this.problems.push(`${this.session} read ${text}, which is older than ${confirmed.marker}`);
    }
    return { outcome, text };
  }

  /** `draw` below ½: while the sandbox may still start; else while the call runs. */
  async cancel(draw: number): Promise<Outcome> {
    return this.#withConnection(async (client) => {
      const turn = await this.#say(client, 'nap:');
      if (turn === undefined) return 'refused';
      // A cancel ends the running turn, which may still be an older one.
      await client.waitFor((event) => event.type === 'turn:start' && event.turn === turn, {
        from: 0,
        timeoutMs: ANSWER_MS,
      });
      if (draw >= 0.5) await this.#untilItRuns(client, turn);
      client.send({ type: 'turn:cancel' });
      const { stopReason } = await client.turnEnd(turn, { timeoutMs: ANSWER_MS });
      return stopReason === 'cancelled' ? 'ok' : 'failed';
    });
  }

  /** Begins a call that never ends. `failed` when it has ended nevertheless. */
  async nap(): Promise<Outcome> {
    return this.#withConnection(async (client) => {
      const turn = await this.#say(client, 'nap:');
      if (turn === undefined) return 'refused';
      this.#naps = true;
      return (await this.#untilItRuns(client, turn)) ? 'ok' : 'failed';
    });
  }

  /** Ends a call that never ends, if there is one. */
  async stopNap(): Promise<void> {
    if (!this.#naps) return;
    const client = await this.#attach();
    if (this.#naps) client.send({ type: 'turn:cancel' });
    this.#naps = false;
  }

  /** The socket is cut: between calls, while an approval is asked for, at a call's start, or while a call runs. */
  async cut(draw: number): Promise<Outcome> {
    return this.#withConnection(async (client) => {
      const way = pick(['between', 'asked', 'starting', 'running'] as const, draw);
      if (way === 'asked') {
        this.#approves = false;
        if ((await this.#say(client, 'read:')) !== undefined) await client.waitFor('tool:approval_required');
      } else if (way === 'starting') {
        await this.#say(client, `write:${this.session}#${++this.#written}`);
      } else if (way === 'running') {
        const turn = await this.#say(client, 'nap:');
        this.#naps = true;
        if (turn !== undefined) await this.#untilItRuns(client, turn);
      }
      await this.leave();
      return 'ok';
    });
  }

  /** Resolves when the session is gone from the store. */
  async delete(): Promise<void> {
    const gone = async (): Promise<boolean> => {
      const { url } = await this.#world.up();
      const answer = await fetch(`${url}/v1/sessions/${this.session}`, { method: 'DELETE' }).catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.status === 204 || answer?.status === 404;
    };
    await until(`${this.session} is deleted`, gone, { timeoutMs: ANSWER_MS });
    await this.leave();
  }

  async leave(): Promise<void> {
    const client = this.#client;
    if (!client) return;
    this.#client = undefined;
    await client.terminate();
    this.#lastSeq = Math.max(this.#lastSeq, client.lastSeq);
    this.problems.push(...client.gaps().filter((problem) => !problem.startsWith('socket:')));
  }

  get #harm(): number {
    return this.#world.harm + this.#world.deaths;
  }

  get #leases(): string[] {
    return this.#world.sandboxesOf(this.session, 'sandbox leased');
  }

  #mayHaveLost({ harm, leases }: Confirmed): boolean {
    if (this.#harm !== harm) return true;
    const since = this.#leases.slice(Math.max(0, leases - 1));
    return since.some((id) => this.#world.harmed.has(id));
  }

  #turn(call: string): Promise<Turn> {
    const began = async (client: TestClient): Promise<Turn> => {
      const turn = await this.#say(client, call);
      if (turn === undefined) return { outcome: 'refused', text: '' };
      const end = await client.turnEnd(turn, { timeoutMs: ANSWER_MS });
      const result = resultOf(client.events, turn);
      const said = textOf(result);
      this.said = said;
      this.#world.note(`${this.session} ${call}: ${end.stopReason} ${end.error?.code ?? ''} ${said}`);
      return { outcome: result?.ok === true ? 'ok' : 'failed', text: said };
    };
    return this.#withConnection(began, { outcome: 'lost', text: '' });
  }

  /** `lost` when the run took the server away meanwhile; any other failure is Fairlead's. */
  async #withConnection<T extends Outcome | Turn>(
    work: (client: TestClient) => Promise<T>,
    lost: T = 'lost' as T,
  ): Promise<T> {
    const client = await this.#attach();
    try {
      return await work(client);
    } catch (error) {
      if (client.socket.readyState === WebSocket.OPEN || this.#epoch === this.#world.epoch) throw error;
      await this.leave();
      return lost;
    }
  }

  /** Asks for one call, `tool:text`. Resolves with the turn; undefined when the server refused because it stops. */
  async #say(client: TestClient, call: string): Promise<number | undefined> {
    const wish: TurnWish = { id: `${this.session}-${++this.#said}`, rounds: [[call]], pieces: 1 };
    const id = client.say(JSON.stringify(wish));
    const about = (event: ServerEvent): boolean => 'id' in event && event.id === id;
    const answer = await client.waitFor(about, { timeoutMs: ANSWER_MS });
    if (answer.type === 'message:accepted') return answer.turn;
    if (answer.type === 'error' && answer.code === 'ERR_DRAINING') return undefined;
    throw new Error(`${this.session}: ${call} was answered with ${JSON.stringify(answer)}`);
  }

  /** False when the turn ended before the call ran. */
  async #untilItRuns(client: TestClient, turn: number): Promise<boolean> {
    const seen = await client.waitFor(
      (event) => event.type === 'tool:output' || (event.type === 'turn:end' && event.turn === turn),
      { timeoutMs: ANSWER_MS },
    );
    return seen.type === 'tool:output';
  }

  async #attach(): Promise<TestClient> {
    const open = this.#client?.socket.readyState === WebSocket.OPEN;
    if (this.#client && open && this.#epoch === this.#world.epoch) return this.#client;
    await this.leave();
    const attached = async (): Promise<boolean> => {
      const { wsUrl } = await this.#world.up();
      this.#epoch = this.#world.epoch;
      const resume = this.session === '' ? {} : { session: this.session, after: this.#lastSeq };
      try {
        const client = await connect(wsUrl, resume);
        this.#client = client;
        this.#approves = true;
        client.socket.on('message', (data: Buffer) => this.#answer(client, JSON.parse(data.toString()) as ServerEvent));
        const { session, pending } = await client.ready;
        this.session = session;
        for (const call of pending) if (call.kind === 'approval') client.approve(call.callId);
        return true;
      } catch (error) {
        this.#world.note(`${this.session} could not attach: ${(error as Error).message.slice(0, 200)}`);
        return false; // the server stops or starts just now
      }
    };
    await until(`${this.session} is attached`, attached, { timeoutMs: CONNECT_MS });
    const client = this.#client;
    if (!client) throw new Error(`${this.session} is not attached`);
    if (this.#naps) client.send({ type: 'turn:cancel' });
    this.#naps = false;
    return client;
  }

  #answer(client: TestClient, event: ServerEvent): void {
    if (event.type === 'tool:approval_required' && this.#approves) client.approve(event.callId);
  }
}

/** Turns of a session run one after the other, so the result between a turn's start and its end belongs to it. */
function resultOf(events: readonly ServerEvent[], turn: number): EventOf<'tool:result'> | undefined {
  const from = events.findIndex((event) => event.type === 'turn:start' && event.turn === turn);
  const to = events.findIndex((event) => event.type === 'turn:end' && event.turn === turn);
  return events.slice(from, to).find((event) => event.type === 'tool:result');
}

function textOf(result: EventOf<'tool:result'> | undefined): string {
  const block = result?.content.at(-1); // before it stands what was lost
  return block?.type === 'text' ? block.text : '';
}

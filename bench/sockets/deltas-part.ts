/** Deltas a second to all clients: turns of the stand-in model through Fairlead, and the same frames from a bare server. */
import type { Load, LoadGroup } from '../load/load.js';
import { mainThreadNs } from './proc.js';
import { newSessions, type EchoServer, type Fairlead, type Server } from './servers.js';
import { DELTA_MARK, END_MARK } from './wire.js';
import { orInterrupted } from '../shared/work.js';

const DELTA = 0;
const ENDS = 1;
/** The gap of a model that never pauses. */
const GAP_MS = 1;
const CHUNK = 6;

export interface Rate {
  /** Deltas that arrive at clients, a second. */
  rate: number;
  serverBusy: number;
  generatorBusy: number;
  /** Share of the deltas that arrived as frames of their own; Fairlead joins pieces when it is behind. */
  share: number;
}

export interface Shape {
  sessions: number;
  clients: number;
  deltas: number;
}

/** Clients of Fairlead that stay for several turns. */
export class Audience {
  readonly #load: Load;
  readonly #server: Server;
  readonly #group: LoadGroup;
  readonly #shape: Shape;
  readonly #start: (deltas: number) => string;
  /** How many clients send messages; the others listen. */
  readonly #askers: number;

  private constructor(
    load: Load,
    server: Server,
    group: LoadGroup,
    shape: Shape,
    ask: { askers: number; text: (deltas: number) => string },
  ) {
    this.#load = load;
    this.#server = server;
    this.#group = group;
    this.#shape = shape;
    this.#askers = ask.askers;
    this.#start = ask.text;
  }

  static async ofFairlead(load: Load, server: Fairlead, shape: Shape): Promise<Audience> {
    const paths = await newSessions(server, shape.sessions);
    const count = shape.sessions * shape.clients;
    const marks = [DELTA_MARK, END_MARK];
    const group = await load.connect({ url: server.engine.wsUrl, paths, count, marks });
    return new Audience(load, server, group, shape, { askers: shape.sessions, text: streamFrame });
  }

  /** All sockets in one topic, the library's own way. */
  static async ofEcho(load: Load, server: EchoServer, shape: Shape): Promise<Audience> {
    const group = await load.connect({ ...server.fan, count: shape.sessions * shape.clients });
    return new Audience(load, server, group, shape, { askers: 1, text: (deltas) => server.fanOf(deltas) });
  }

  /** From the message to the last client's `turn:end`. */
  async run(signal: AbortSignal): Promise<Rate> {
    const { deltas, clients, sessions } = this.#shape;
    const before = this.#group.counts;
    const cpuBefore = await mainThreadNs(this.#server.pid);
    const busy = this.#load.watch();
    const startedAt = performance.now();
    await this.#group.send(this.#start(deltas), this.#askers);
    await orInterrupted(this.#group.until(ENDS), signal);
    const ms = performance.now() - startedAt;
    const generatorBusy = busy();
    const cpuNs = (await mainThreadNs(this.#server.pid)) - cpuBefore;
    const { marks, closed } = this.#group.counts;
    if (closed > 0) throw new Error(`${this.#server.name}: ${closed} clients were cut`);
    const came = (marks[DELTA] ?? 0) - (before.marks[DELTA] ?? 0);
    return {
      rate: (came / ms) * 1_000,
      serverBusy: Math.min(1, cpuNs / 1e6 / ms),
      generatorBusy,
      share: came / (deltas * clients * sessions),
    };
  }

  leave(): Promise<void> {
    return this.#group.drop();
  }
}

function streamFrame(deltas: number): string {
  return JSON.stringify({ type: 'message', text: `stream ${deltas} ${CHUNK} ${GAP_MS}` });
}

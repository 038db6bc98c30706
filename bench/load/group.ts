/** A thread's share of a group of clients: opens them, lets them send, counts in a shared row. Worker thread of the load. */
import { Client, type ClientHost } from './client.js';
import { Tally, textFrames } from './frames.js';
import { MAX_GAP_MS, SLOT, SLOTS, type Attached, type ConnectCommand, type Gaps } from './messages.js';

interface Waiting {
  resolve: () => void;
  reject: (error: Error) => void;
}

interface Until extends Waiting {
  mark: number;
  count: number;
}

interface Opening extends Waiting {
  /** The next index to open. */
  next: number;
  left: number;
  times: number[];
}

export class Group implements ClientHost {
  readonly marks: readonly Buffer[];
  readonly longestMark: number;
  readonly tally = new Tally();
  readonly #command: ConnectCommand;
  readonly #threads: number;
  /** This group's row of the thread's counters. */
  readonly #row: Float64Array;
  readonly #clients = new Set<Client>();
  readonly #gaps: Gaps | undefined;
  readonly #reached: number[];
  readonly #untils = new Set<Until>();
  #opening: Opening | undefined;
  #pump: { frames: Buffer; depth: number } | undefined;
  #rest: Waiting | undefined;
  #unanswered = 0;
  #dropping: (() => void) | undefined;
  /** Why the first client was lost unexpectedly. */
  #lost: string | undefined;

  constructor(command: ConnectCommand, counts: Float64Array, threads: number) {
    this.#command = command;
    this.#threads = threads;
    this.#row = counts.subarray(command.group * SLOTS, (command.group + 1) * SLOTS);
    this.#row.fill(0);
    this.marks = command.marks.map((mark) => Buffer.from(mark));
    this.longestMark = Math.max(0, ...this.marks.map(({ length }) => length));
    this.#reached = command.marks.map(() => 0);
    this.#gaps = command.gaps ? Array.from({ length: MAX_GAP_MS + 1 }, () => 0) : undefined;
  }

  /** Resolves when all are attached; rejects with the first failure. */
  async open(thread: number): Promise<Attached> {
    const { count, atOnce } = this.#command;
    const mine = Math.max(0, Math.ceil((count - thread) / this.#threads));
    const times: number[] = [];
    if (mine === 0) return { times };
    await new Promise<void>((resolve, reject) => {
      this.#opening = { next: thread, left: mine, times, resolve, reject };
      for (let under = 0; under < Math.max(1, Math.floor(atOnce / this.#threads)); under++) this.#openNext();
    });
    return { times };
  }

  pump(payload: string, depth: number): void {
    this.#pump = { frames: textFrames(payload, depth), depth };
    for (const client of this.#clients) this.#sendBatch(client);
  }

  /** Stops sending; resolves when all frames are answered. */
  async rest(): Promise<void> {
    this.#pump = undefined;
    if (this.#unanswered === 0) return;
    await new Promise<void>((resolve, reject) => (this.#rest = { resolve, reject }));
  }

  send(payload: string, first: number): void {
    const frame = textFrames(payload);
    for (const client of this.#clients) {
      if (client.index >= first) continue;
      client.write(frame);
      this.#row[SLOT.framesOut]! += 1;
    }
  }

  reads(on: boolean): void {
    for (const client of this.#clients) client.reads(on);
  }

  async until(mark: number, each: number): Promise<void> {
    const count = (this.#reached[mark] ?? 0) + each * this.#clients.size;
    this.#reached[mark] = count;
    if ((this.#row[SLOT.marks + mark] ?? 0) >= count) return;
    if (this.#lost !== undefined) throw new Error(this.#lost);
    await new Promise<void>((resolve, reject) => this.#untils.add({ mark, count, resolve, reject }));
  }

  /** Returns the counts and resets them. */
  takeGaps(): Gaps {
    const taken = this.#gaps?.slice() ?? [];
    this.#gaps?.fill(0);
    for (const client of this.#clients) client.lastReadAt = 0;
    return taken;
  }

  async drop(): Promise<void> {
    if (this.#clients.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#dropping = resolve;
      for (const client of this.#clients) client.cut();
    });
  }

  upgraded(client: Client): void {
    const { hello, readyFrames } = this.#command;
    if (hello !== '') client.write(textFrames(hello));
    if (readyFrames === 0) this.#attached(client);
  }

  received(client: Client, bytes: number): void {
    const { frames, marks } = this.tally;
    const row = this.#row;
    row[SLOT.framesIn]! += frames;
    row[SLOT.bytesIn]! += bytes;
    for (let mark = 0; mark < marks.length; mark++) row[SLOT.marks + mark]! += marks[mark]!;
    if (this.#gaps !== undefined) this.#noteGap(client, this.#gaps);
    const before = client.early;
    if (before < this.#command.readyFrames) {
      client.early += frames;
      if (client.early >= this.#command.readyFrames) this.#attached(client);
    }
    if (client.unanswered > 0) this.#answered(client, frames);
    if (this.#untils.size > 0) this.#checkUntils();
  }

  gone(client: Client, why: string): void {
    const wasIn = this.#clients.delete(client);
    if (wasIn) {
      this.#row[SLOT.open]! -= 1;
      if (this.#dropping === undefined) this.#row[SLOT.closed]! += 1;
    }
    if (this.#dropping !== undefined) {
      if (this.#clients.size === 0) this.#dropping();
      return;
    }
    this.#lost ??= `client ${client.index}: ${why}`;
    const error = new Error(this.#lost);
    this.#opening?.reject(error);
    this.#opening = undefined;
    this.#rest?.reject(error);
    for (const until of this.#untils) until.reject(error);
    this.#untils.clear();
  }

  #openNext(): void {
    const { host, port, paths, token, count } = this.#command;
    const opening = this.#opening;
    if (!opening || opening.next >= count || this.#dropping) return;
    const index = opening.next;
    opening.next += this.#threads;
    const client = new Client(this, index, { host, port, token, path: paths[index % paths.length] ?? '/' });
    this.#clients.add(client);
    this.#row[SLOT.open]! += 1;
  }

  #attached(client: Client): void {
    const opening = this.#opening;
    if (!opening) return;
    opening.times.push(performance.now() - client.startedAt);
    this.#openNext();
    if (--opening.left > 0) return;
    this.#opening = undefined;
    opening.resolve();
  }

  #sendBatch(client: Client): void {
    const pump = this.#pump;
    if (!pump) return;
    client.unanswered += pump.depth;
    this.#unanswered += pump.depth;
    this.#row[SLOT.framesOut]! += pump.depth;
    client.write(pump.frames);
  }

  #answered(client: Client, frames: number): void {
    const answers = Math.min(frames, client.unanswered);
    client.unanswered -= answers;
    this.#unanswered -= answers;
    if (client.unanswered === 0) this.#sendBatch(client);
    if (this.#unanswered > 0 || this.#rest === undefined) return;
    this.#rest.resolve();
    this.#rest = undefined;
  }

  #noteGap(client: Client, gaps: Gaps): void {
    const now = performance.now();
    if (client.lastReadAt > 0) gaps[Math.min(MAX_GAP_MS, Math.floor(now - client.lastReadAt))]! += 1;
    client.lastReadAt = now;
  }

  #checkUntils(): void {
    for (const until of this.#untils) {
      if ((this.#row[SLOT.marks + until.mark] ?? 0) < until.count) continue;
      this.#untils.delete(until);
      until.resolve();
    }
  }
}

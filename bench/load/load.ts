/**
 * The load generator: raw WebSocket clients in worker threads, more and faster ones than a client library allows. A client
 * costs a socket and two small objects; frames are counted by their beginning and dropped.
 */
import { Worker } from 'node:worker_threads';
import {
  countsBytes,
  MAX_GROUPS,
  MAX_MARKS,
  SLOT,
  SLOTS,
  type Answered,
  type Asked,
  type Attached,
  type Command,
  type Results,
  type WorkerInput,
} from './messages.js';

export interface ConnectOptions {
  /** `ws://` or `http://`, with the path unless `paths` are given. */
  url: string;
  count: number;
  /** The socket of index i takes the path i modulo their number. */
  paths?: string[];
  /** The bearer token of all of them. */
  token?: string;
  atOnce?: number;
  /** How many frames the server sends on its own before a socket counts as attached; 1 unless told. */
  readyFrames?: number;
  /** A text frame that each socket sends right after its upgrade. */
  hello?: string;
  /** Frames that begin with one of these are counted separately; three at most. */
  marks?: string[];
  /** Records the pauses between two reads of each socket, for `gaps`. */
  gaps?: boolean;
}

export interface Counts {
  framesIn: number;
  bytesIn: number;
  framesOut: number;
  open: number;
  /** Sockets that were lost unexpectedly. */
  closed: number;
  marks: number[];
}

interface Thread {
  worker: Worker;
  counts: Float64Array;
}

interface Waiting {
  resolve: (result: Results[Command['type']]) => void;
  reject: (error: Error) => void;
}

export class Load {
  readonly #threads: Thread[] = [];
  readonly #waiting = new Map<number, Waiting>();
  readonly #freeGroups = Array.from({ length: MAX_GROUPS }, (_, group) => group);
  #nextId = 1;
  #ended = false;

  /** A good number of threads is one less than there are processors: the server needs one. */
  constructor(threads = 1) {
    for (let thread = 0; thread < threads; thread++) {
      const counts = new SharedArrayBuffer(countsBytes());
      const workerData: WorkerInput = { thread, threads, counts };
      const worker = new Worker(new URL('worker-main.js', import.meta.url), { workerData });
      worker.on('message', (answer: Answered) => this.#answered(answer));
      worker.on('error', (error) => this.#failAll(error));
      worker.once('exit', () => {
        this.#ended = true;
        this.#failAll(new Error('the load has ended'));
      });
      this.#threads.push({ worker, counts: new Float64Array(counts) });
    }
  }

  /** Resolves when all sockets are attached; rejects with the first failure. */
  async connect(options: ConnectOptions): Promise<LoadGroup & Attached> {
    const { hostname, port, pathname, search } = new URL(options.url);
    const { marks = [] } = options;
    if (marks.length > MAX_MARKS) throw new Error(`a group has at most ${MAX_MARKS} marks`);
    const group = this.#freeGroups.shift();
    if (group === undefined) throw new Error(`a load has at most ${MAX_GROUPS} groups`);
    const attached = await this.#all({
      type: 'connect',
      group,
      host: hostname,
      port: Number(port),
      paths: options.paths ?? [`${pathname}${search}`],
      token: options.token ?? '',
      count: options.count,
      atOnce: options.atOnce ?? 100,
      readyFrames: options.readyFrames ?? 1,
      hello: options.hello ?? '',
      marks,
      gaps: options.gaps ?? false,
    });
    return Object.assign(new LoadGroup(this, group, options.count, marks.length), {
      times: attached.flatMap(({ times }) => times),
    });
  }

  /** Returns a function that tells how busy the busiest thread was since then, 0 to 1. */
  watch(): () => number {
    const before = this.#threads.map(({ worker }) => worker.performance.eventLoopUtilization());
    return () =>
      Math.max(
        ...this.#threads.map(
          ({ worker }, thread) => worker.performance.eventLoopUtilization(before[thread]).utilization,
        ),
      );
  }

  /** Cuts all sockets. May be called twice. */
  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  counts(group: number, marks: number): Counts {
    const sum = (slot: number): number =>
      this.#threads.reduce((total, { counts }) => total + (counts[group * SLOTS + slot] ?? 0), 0);
    return {
      framesIn: sum(SLOT.framesIn),
      bytesIn: sum(SLOT.bytesIn),
      framesOut: sum(SLOT.framesOut),
      open: sum(SLOT.open),
      closed: sum(SLOT.closed),
      marks: Array.from({ length: marks }, (_, mark) => sum(SLOT.marks + mark)),
    };
  }

  async drop(group: number): Promise<void> {
    await this.#all({ type: 'drop', group });
    this.#freeGroups.push(group);
  }

  /** Asks every thread. */
  all<C extends Command>(command: C): Promise<Results[C['type']][]> {
    return this.#all(command);
  }

  #all<C extends Command>(command: C): Promise<Results[C['type']][]> {
    if (this.#ended) return Promise.reject(new Error('the load has ended'));
    return Promise.all(this.#threads.map(({ worker }) => this.#ask(worker, command)));
  }

  #ask<C extends Command>(worker: Worker, command: C): Promise<Results[C['type']]> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Results[C['type']]), reject });
      worker.postMessage({ id, command } satisfies Asked);
    });
  }

  #answered(answer: Answered): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.result);
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

/** Sockets that were opened together and do the same. */
export class LoadGroup {
  readonly size: number;
  readonly #load: Load;
  readonly #group: number;
  readonly #marks: number;

  constructor(load: Load, group: number, size: number, marks: number) {
    this.#load = load;
    this.#group = group;
    this.size = size;
    this.#marks = marks;
  }

  /** Read from shared memory, without asking the threads. */
  get counts(): Counts {
    return this.#load.counts(this.#group, this.#marks);
  }

  /** Each socket sends `depth` frames in one write, and again when all of them are answered by as many frames. */
  async pump(payload: string, depth: number): Promise<void> {
    await this.#load.all({ type: 'pump', group: this.#group, payload, depth });
  }

  /** Ends a pump; resolves when nothing is unanswered. */
  async rest(): Promise<void> {
    await this.#load.all({ type: 'rest', group: this.#group });
  }

  /** Sends one text frame on each of the first sockets. */
  async send(payload: string, first = this.size): Promise<void> {
    await this.#load.all({ type: 'send', group: this.#group, payload, first });
  }

  /** Stops reading: frames fill the kernel's buffers, and then the server's. */
  async reads(on: boolean): Promise<void> {
    await this.#load.all({ type: 'read', group: this.#group, on });
  }

  /** Resolves when the sockets have received `each` more frames of that mark on average; rejects when one is lost. */
  async until(mark: number, each = 1): Promise<void> {
    await this.#load.all({ type: 'until', group: this.#group, mark, each });
  }

  /** Counts of pauses between two reads, by whole ms; resets them. */
  async gaps(): Promise<number[]> {
    const all = await this.#load.all({ type: 'gaps', group: this.#group });
    const [first = [], ...others] = all;
    return first.map((count, ms) => others.reduce((sum, gaps) => sum + (gaps[ms] ?? 0), count));
  }

  /** Cuts all sockets and ends the group. */
  async drop(): Promise<void> {
    await this.#load.drop(this.#group);
  }
}

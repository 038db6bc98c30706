/** The growth of a server, its store and the kernel's sockets while something happens, in bytes, and for one session. */
import type { Measured, ProcessMemory } from './measured.js';
import { socketBytes } from './proc.js';

export interface Growth {
  rss: number;
  mapped: number;
  heap: number;
  /** The main thread's part of `heap`. */
  mainHeap: number;
  external: number;
  store: number;
  /** The server's ends: half of what both ends of the loopback connections take. */
  kernel: number;
}

const KEYS = ['rss', 'mapped', 'heap', 'mainHeap', 'external', 'store', 'kernel'] as const;

export class Probe {
  readonly #measured: Measured;
  readonly #store: () => Promise<number>;
  readonly #signal: AbortSignal;
  #memory: ProcessMemory | undefined;

  constructor(measured: Measured, signal: AbortSignal, store: () => Promise<number> = async () => 0) {
    this.#measured = measured;
    this.#store = store;
    this.#signal = signal;
  }

  /** Number of threads at the last look. */
  get threads(): number {
    return this.#memory?.threads.length ?? 0;
  }

  /** Since the last look. */
  async during(work: () => Promise<unknown>): Promise<Growth> {
    const before = (this.#memory ??= await this.#measured.memory(this.#signal));
    const [store, kernel] = [await this.#store(), await socketBytes()];
    await work();
    const after = (this.#memory = await this.#measured.memory(this.#signal));
    return {
      rss: after.rss - before.rss,
      mapped: after.mapped - before.mapped,
      heap: after.heap - before.heap,
      mainHeap: mainHeap(after) - mainHeap(before),
      external: after.external - before.external,
      store: (await this.#store()) - store,
      kernel: ((await socketBytes()) - kernel) / 2,
    };
  }
}

function mainHeap({ threads }: ProcessMemory): number {
  return threads.find(({ thread }) => thread === 0)?.heap ?? Number.NaN;
}

export function sumOf(...growths: readonly Growth[]): Growth {
  return map((key) => growths.reduce((total, growth) => total + growth[key], 0));
}

/** For one session. */
export function share(growth: Growth, count: number): Growth {
  return map((key) => growth[key] / count);
}

function map(of: (key: (typeof KEYS)[number]) => number): Growth {
  return Object.fromEntries(KEYS.map((key) => [key, of(key)])) as unknown as Growth;
}

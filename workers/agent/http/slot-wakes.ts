/** Tells the slots of other agent threads that one is free, or that an idle stream holds one that is wanted. Agent threads. */
import {
  createSlots,
  SlotLedger,
  SLOTS_CHANNEL,
  type Wake,
  type WakeMessage,
} from '../../../src/shared/threads/shared-slots.js';

export interface SharedSlots {
  readonly ledger: SlotLedger;
  /** Tells the other threads. */
  tell(wake: Wake): void;
  /** Called with what another thread tells, until the returned function is called. */
  listen(onWake: (wake: Wake) => void): () => void;
}

/** The slots of this thread, beside those of others, by server. */
export class SlotWakes {
  readonly #memory: SharedArrayBuffer;
  readonly #places: () => Readonly<Record<string, number>>;
  readonly #place: { thread: number; threads: number };
  /** By the server's place: while its last calls end, a changed server has two. */
  readonly #listeners = new Map<number, Set<(wake: Wake) => void>>();
  readonly #channel = new BroadcastChannel(SLOTS_CHANNEL);

  /** `places`: the servers' places in `memory`, the same for all threads. */
  constructor(
    memory: SharedArrayBuffer,
    places: () => Readonly<Record<string, number>>,
    place: { thread: number; threads: number },
  ) {
    this.#memory = memory;
    this.#places = places;
    this.#place = place;
    // It alone must not keep the thread alive.
    (this.#channel as unknown as { unref(): void }).unref();
    this.#channel.onmessage = (event) => {
      const { server, wake } = (event as { data: WakeMessage }).data;
      for (const listener of this.#listeners.get(server) ?? []) listener(wake);
    };
  }

  /** Undefined: it has no place, and each thread counts alone. */
  of(name: string): SharedSlots | undefined {
    const places = this.#places();
    if (!Object.hasOwn(places, name)) return undefined;
    const server = places[name]!;
    return {
      ledger: new SlotLedger(this.#memory, { server, ...this.#place }),
      tell: (wake) => this.#channel.postMessage({ server, wake } satisfies WakeMessage),
      listen: (onWake) => this.#listen(server, onWake),
    };
  }

  #listen(server: number, onWake: (wake: Wake) => void): () => void {
    const listeners = this.#listeners.get(server) ?? new Set();
    this.#listeners.set(server, listeners);
    listeners.add(onWake);
    return () => {
      listeners.delete(onWake);
      if (listeners.size === 0 && this.#listeners.get(server) === listeners) this.#listeners.delete(server);
    };
  }

  close(): void {
    this.#listeners.clear();
    this.#channel.close();
  }
}

/** Slots of one thread alone. */
export function ownSlots(): SharedSlots {
  const ledger = new SlotLedger(createSlots(1, 1), { server: 0, thread: 0, threads: 1 });
  return { ledger, tell: () => undefined, listen: () => () => undefined };
}

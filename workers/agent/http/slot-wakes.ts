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
  /** Called with what another thread tells. */
  listen(onWake: (wake: Wake) => void): void;
}

/** The slots of this thread, beside those of others, by server. */
export class SlotWakes {
  readonly #memory: SharedArrayBuffer;
  readonly #servers: readonly string[];
  readonly #place: { thread: number; threads: number };
  readonly #listeners = new Map<number, (wake: Wake) => void>();
  readonly #channel = new BroadcastChannel(SLOTS_CHANNEL);

  /** `servers`: in the order of all threads. */
  constructor(memory: SharedArrayBuffer, servers: readonly string[], place: { thread: number; threads: number }) {
    this.#memory = memory;
    this.#servers = servers;
    this.#place = place;
    // It alone must not keep the thread alive.
    (this.#channel as unknown as { unref(): void }).unref();
    this.#channel.onmessage = (event) => {
      const { server, wake } = (event as { data: WakeMessage }).data;
      this.#listeners.get(server)?.(wake);
    };
  }

  of(name: string): SharedSlots {
    const server = this.#servers.indexOf(name);
    return {
      ledger: new SlotLedger(this.#memory, { server, ...this.#place }),
      tell: (wake) => this.#channel.postMessage({ server, wake } satisfies WakeMessage),
      listen: (onWake) => void this.#listeners.set(server, onWake),
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
  return { ledger, tell: () => undefined, listen: () => undefined };
}

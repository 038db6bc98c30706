/** Subscriptions to one server's resources, in both protocols. Agent threads. */
import type { Client } from '@modelcontextprotocol/client';

export interface WatchOptions {
  timeoutMs: number;
}

interface WatchedResource {
  listeners: Set<() => void>;
  /** Resolves with the function that unsubscribes. */
  begun: Promise<() => Promise<void>>;
}

export class ResourceWatches {
  readonly #client: Client;
  /** By uri: listeners of the same resource share one subscription. */
  readonly #byUri = new Map<string, WatchedResource>();

  constructor(client: Client) {
    this.#client = client;
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
      for (const listener of this.#byUri.get(params.uri)?.listeners ?? []) listener();
    });
  }

  get size(): number {
    return this.#byUri.size;
  }

  /** Resolves with the function that removes the listener. Rejects with the SDK's error where the server cannot. */
  async add(uri: string, listener: () => void, options: WatchOptions): Promise<() => Promise<void>> {
    const watch = this.#byUri.get(uri) ?? { listeners: new Set<() => void>(), begun: this.#begin(uri, options) };
    this.#byUri.set(uri, watch);
    const own = (): void => listener(); // the same function twice is two listeners
    watch.listeners.add(own);
    const leave = async (): Promise<void> => {
      if (!watch.listeners.delete(own) || watch.listeners.size > 0) return;
      if (this.#byUri.get(uri) === watch) this.#byUri.delete(uri);
      await (
        await watch.begun
      )();
    };
    try {
      await watch.begun;
    } catch (error) {
      watch.listeners.delete(own);
      if (this.#byUri.get(uri) === watch) this.#byUri.delete(uri);
      throw error;
    }
    return leave;
  }

  async #begin(uri: string, { timeoutMs: timeout }: WatchOptions): Promise<() => Promise<void>> {
    const client = this.#client;
    if (client.getProtocolEra() === 'modern') {
      const subscription = await client.listen({ resourceSubscriptions: [uri] }, { timeout });
      return () => subscription.close();
    }
    await client.subscribeResource({ uri }, { timeout });
    return async () => void (await client.unsubscribeResource({ uri }, { timeout }));
  }
}

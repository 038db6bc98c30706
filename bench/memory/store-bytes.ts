/** Reads how many bytes Redis says it holds: in all, and by a session's keys. */
import { createClient } from 'redis';

export interface SessionBytes {
  history: number;
  events: number;
  /** The row and the remembered message ids. */
  row: number;
}

export class RedisBytes {
  readonly #client;
  #error: Error | undefined;

  private constructor(url: string) {
    // A Ctrl-C ends Redis, too: commands then reject instead of waiting for it.
    this.#client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: false } });
    this.#client.on('error', (error: Error) => (this.#error = error));
  }

  static async open(url: string): Promise<RedisBytes> {
    const bytes = new RedisBytes(url);
    await bytes.#client.connect();
    return bytes;
  }

  /** used_memory. */
  async used(): Promise<number> {
    if (this.#error) throw this.#error;
    const info = await this.#client.info('memory');
    return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
  }

  async ofSession(session: string): Promise<SessionBytes> {
    const of = (name: string): Promise<number> => this.#usage(`fairlead:{${session}}:${name}`);
    const [history, events, row, ids] = await Promise.all([of('history'), of('events'), of('row'), of('ids')]);
    return { history, events, row: row + ids };
  }

  /** The same messages as a list of JSON texts. */
  async asRawList(messages: readonly unknown[]): Promise<number> {
    const key = 'bench:raw';
    await this.#client.rPush(
      key,
      messages.map((message) => JSON.stringify(message)),
    );
    const bytes = await this.#usage(key);
    await this.#client.del(key);
    return bytes;
  }

  close(): void {
    if (this.#client.isOpen) this.#client.destroy();
  }

  /** 0 where there is no such key. */
  async #usage(key: string): Promise<number> {
    return (await this.#client.memoryUsage(key, { SAMPLES: 0 })) ?? 0;
  }
}

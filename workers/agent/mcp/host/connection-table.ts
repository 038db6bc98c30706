/** Connections by owner and server, each from its start to its end. An owner is a session, or the thread for all. Agent threads. */
import type { ServerConnection, SessionToolsListener } from './server-connection.js';

export interface TableEntry<C> {
  readonly owner: string;
  readonly server: string;
  readonly opening: Promise<C>;
  /** Set once it is open. */
  connection?: C;
}

export interface ConnectionTableOptions<C> {
  sessionTools: SessionToolsListener;
  /** Interval of `onLook` while there are entries: one timer for all. 0: never. */
  lookEveryMs: number;
  /** Called for each open connection. */
  onLook: (entry: TableEntry<C>, connection: C) => void;
  /** An entry has left the table, before `clear`. */
  onRemoved?: (entry: TableEntry<C>) => void;
}

export class ConnectionTable<C extends ServerConnection> {
  readonly #options: ConnectionTableOptions<C>;
  readonly #byOwner = new Map<string, Map<string, TableEntry<C>>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionTableOptions<C>) {
    this.#options = options;
  }

  get(owner: string, server: string): TableEntry<C> | undefined {
    return this.#byOwner.get(owner)?.get(server);
  }

  all(): TableEntry<C>[] {
    return [...this.#byOwner.values()].flatMap((servers) => [...servers.values()]);
  }

  to(server: string): TableEntry<C>[] {
    return this.all().filter((entry) => entry.server === server);
  }

  of(owner: string): TableEntry<C>[] {
    return [...(this.#byOwner.get(owner)?.values() ?? [])];
  }

  /** An entry that fails to open is removed; its error is for those who wait for `opening`. */
  add(owner: string, server: string, opening: Promise<C>): TableEntry<C> {
    const entry: TableEntry<C> = { owner, server, opening };
    const servers = this.#byOwner.get(owner) ?? new Map<string, TableEntry<C>>();
    servers.set(server, entry);
    this.#byOwner.set(owner, servers);
    this.#setTimer();
    opening.then(
      (connection) => (entry.connection = connection),
      () => this.remove(entry),
    );
    return entry;
  }

  /** Does nothing for an entry that is no longer in the table. */
  remove(entry: TableEntry<C>): void {
    const { owner, server } = entry;
    const servers = this.#byOwner.get(owner);
    if (servers?.get(server) !== entry) return;
    servers.delete(server);
    if (servers.size === 0) this.#byOwner.delete(owner);
    this.#options.sessionTools.gone(owner, server);
    this.#options.onRemoved?.(entry);
    this.#setTimer();
  }

  /** Returns the removed entries. */
  removeOwner(owner: string): TableEntry<C>[] {
    const removed = this.of(owner);
    for (const entry of removed) this.remove(entry);
    return removed;
  }

  /** Returns the removed entries; the session tools are not told, as the thread ends. */
  clear(): TableEntry<C>[] {
    const removed = this.all();
    this.#byOwner.clear();
    this.#setTimer();
    return removed;
  }

  /** The server has said that its tools have changed; it may say so while it is still being opened. */
  async toolsChanged(entry: TableEntry<C>): Promise<void> {
    const connection = await entry.opening.catch(() => undefined); // the caller gets that error
    const { owner, server } = entry;
    if (connection && this.get(owner, server) === entry) this.#options.sessionTools.changed(owner, server, connection);
  }

  #setTimer(): void {
    const { lookEveryMs, onLook } = this.#options;
    if (this.#byOwner.size === 0 || lookEveryMs === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= setInterval(() => {
      for (const entry of this.all()) if (entry.connection) onLook(entry, entry.connection);
    }, lookEveryMs);
  }
}

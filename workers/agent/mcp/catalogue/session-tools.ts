/**
 * The changed tools of servers that belong to one session. When such a server announces a change, its tools are listed on that
 * connection; they are forgotten with it, since the next connection starts with the common tools. Agent threads.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorToData } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ServerConnection, SessionToolsListener } from '../host/server-connection.js';
import { listServerTools } from './list-all.js';
import { NOBODY } from './nobody.js';
import type { ListedTools } from './server-lister.js';

/** The shortest interval between two lists of one server, however often it announces changes. */
const MIN_GAP_MS = 250;
/** Limit of a session's tools as JSON: unlike the common tools, these are kept for each session. */
const MAX_BYTES = 1_048_576;

interface Changed {
  listed?: ListedTools;
  /** The running list. Never rejects. */
  listing: Promise<void>;
  running: boolean;
  /** It has announced another change meanwhile. */
  again: boolean;
}

export class SessionTools implements SessionToolsListener {
  readonly #options: { readonly timeoutMs: number };
  readonly #shared: string;
  readonly #log: Logger;
  /** session → server. */
  readonly #bySession = new Map<string, Map<string, Changed>>();

  /** `shared`: the session id under which the thread holds what all of its sessions share. */
  constructor(options: { readonly timeoutMs: number; shared: string; log: Logger }) {
    this.#options = options;
    this.#shared = options.shared;
    this.#log = options.log;
  }

  changed(session: string, server: string, connection: ServerConnection): void {
    const servers = this.#bySession.get(session) ?? new Map<string, Changed>();
    const before = servers.get(server);
    if (before?.running) {
      before.again = true;
      return;
    }
    const changed: Changed = { ...before, listing: Promise.resolve(), running: true, again: false };
    servers.set(server, changed);
    this.#bySession.set(session, servers);
    const isCurrent = (): boolean => this.#bySession.get(session)?.get(server) === changed;
    changed.listing = this.#list(changed, { session, server, connection, isCurrent });
  }

  gone(session: string, server: string): void {
    const servers = this.#bySession.get(session);
    if (!servers?.delete(server)) return;
    if (servers.size === 0) this.#bySession.delete(session);
  }

  /** The listed tools by server; undefined for nearly every session. */
  of(session: string): ReadonlyMap<string, ListedTools> | undefined {
    const servers = this.#serversOf(session);
    if (servers.length === 0) return undefined;
    return new Map(servers.flatMap(([server, { listed }]) => (listed ? [[server, listed] as const] : [])));
  }

  /** Resolves when no list runs. Never rejects. */
  async ready(session: string): Promise<void> {
    await Promise.all(this.#serversOf(session).map(([, { listing }]) => listing));
  }

  #serversOf(session: string): [string, Changed][] {
    return [this.#shared, session].flatMap((holder) => [...(this.#bySession.get(holder) ?? [])]);
  }

  async #list(
    changed: Changed,
    of: { session: string; server: string; connection: ServerConnection; isCurrent: () => boolean },
  ): Promise<void> {
    const { session, server, connection, isCurrent } = of;
    do {
      if (changed.again) await delay(MIN_GAP_MS);
      changed.again = false;
      try {
        const signal = AbortSignal.timeout(this.#options.timeoutMs);
        const listed = await listServerTools(connection, { signal, timeoutMs: this.#options.timeoutMs, asks: NOBODY });
        const bytes = JSON.stringify(listed.tools).length;
        if (bytes <= MAX_BYTES) changed.listed = listed;
        else
          this.#log.warn({ session, server, bytes }, 'mcp server: the changed tools are too large; the old ones stay');
      } catch (error) {
        // If the connection has ended, its calls say more about it.
        this.#log.debug(
          { session, server, err: errorToData(error).message },
          'mcp server: the changed tools cannot be listed',
        );
      }
    } while (changed.again && isCurrent());
    changed.running = false;
  }
}

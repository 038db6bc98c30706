/**
 * Listens to one `url` server for changes of its lists on a connection of its own: `subscriptions/listen` of a modern server,
 * the open stream of a legacy one. One for each server and process. Agent thread 0.
 */
import { backoffMs } from '../../../../src/shared/backoff.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { Caller } from '../host/server-connection.js';
import { KeptConnection } from './kept-connection.js';
import type { OpenedConnection } from './opening.js';
import type { RemoteServer } from './remote-server.js';

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 };
/** A lost legacy stream shows only when a ping fails. */
const PING_MS = 60_000;
const PING_TIMEOUT_MS = 10_000;
/** The shortest interval between two callbacks. */
const MIN_GAP_MS = 250;

const CHANGES = [
  ['tools', 'toolsListChanged', 'notifications/tools/list_changed'],
  ['prompts', 'promptsListChanged', 'notifications/prompts/list_changed'],
  ['resources', 'resourcesListChanged', 'notifications/resources/list_changed'],
] as const;

export interface ListChangeListenerOptions {
  remote: RemoteServer;
  server: string;
  caller: Caller;
  onChanged: () => void;
  log: Logger;
}

export class ListChangeListener {
  onChanged: () => void;
  readonly #options: ListChangeListenerOptions;
  #kept: KeptConnection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #tell: NodeJS.Timeout | undefined;
  #failures = 0;
  #askedAt = performance.now();
  #closed = false;

  constructor(options: ListChangeListenerOptions) {
    this.#options = options;
    this.onChanged = options.onChanged;
    void this.#listen();
  }

  tick(now: number): void {
    const opened = this.#kept?.opened;
    if (!opened || opened.kind === 'modern' || now - this.#askedAt < PING_MS) return;
    this.#askedAt = now;
    opened.client.client.ping({ timeout: PING_TIMEOUT_MS }).catch(() => opened.client.close()); // which reconnects
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#tell);
    await this.#kept?.end();
  }

  async #listen(): Promise<void> {
    const { remote, caller, server, log } = this.#options;
    const kept = new KeptConnection('', caller.session, remote.openOwn(caller));
    this.#kept = kept;
    try {
      const opened = await kept.opening;
      if (this.#closed) return;
      const wanted = CHANGES.filter(([capability]) => changes(opened, capability));
      if (wanted.length === 0) {
        await kept.end(); // it never announces changes: its list expires instead
        return;
      }
      opened.client.client.onclose = () => this.#again();
      for (const [, , method] of wanted) opened.client.client.setNotificationHandler(method, () => this.#changed());
      if (opened.kind === 'modern') {
        const filter = Object.fromEntries(wanted.map(([, flag]) => [flag, true]));
        const subscription = await opened.client.client.listen(filter);
        void subscription.closed.then(() => opened.client.close());
      } else await opened.transport.listen();
      if (this.#failures > 0) this.#changed(); // changes may have been missed meanwhile
      this.#failures = 0;
    } catch (error) {
      log.debug({ server, err: error }, 'mcp server: listening for list changes failed');
      await kept.end();
      this.#again();
    }
  }

  #again(): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#listen(), backoffMs(++this.#failures, BACKOFF));
  }

  #changed(): void {
    if (this.#closed) return;
    this.#tell ??= setTimeout(() => {
      this.#tell = undefined;
      this.onChanged();
    }, MIN_GAP_MS);
  }
}

function changes({ client }: OpenedConnection, capability: string): boolean {
  const has = client.capabilities[capability] as { listChanged?: unknown } | undefined;
  return has?.listChanged === true;
}

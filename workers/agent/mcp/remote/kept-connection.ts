/** A connection that is kept for later requests, from the moment it starts until it has ended. Agent threads. */
import { atMost } from '../../../../src/shared/abort.js';
import type { OpenedConnection } from './opening.js';

/** How long the end of a session may take at the server. */
const END_MS = 2_000;

export class KeptConnection {
  /** Whose credentials it was opened with. */
  readonly key: string;
  /** Of whoever came first; of the legacy era it is his alone. */
  readonly session: string;
  readonly opening: Promise<OpenedConnection>;
  /** Once it is open. */
  opened: OpenedConnection | undefined;
  /** Whichever way it went. Never rejects. */
  readonly settled: Promise<void>;
  #ending: Promise<void> | undefined;

  constructor(key: string, session: string, opening: Promise<OpenedConnection>) {
    this.key = key;
    this.session = session;
    this.opening = opening;
    this.settled = opening.then(
      (opened) => void (this.opened = opened),
      () => undefined, // told to those who wait for it
    );
  }

  /** 0 while it is starting or something runs. */
  get idleMs(): number {
    return this.opened?.client.idleMs ?? 0;
  }

  /** Tells the server, where it holds a session for us, and closes. Never rejects; requests that run are failed. */
  end(): Promise<void> {
    this.#ending ??= this.#end(true);
    return this.#ending;
  }

  /** Of a session that the server has forgotten: there is nothing to tell it. */
  retire(): Promise<void> {
    this.#ending ??= this.#end(false);
    return this.#ending;
  }

  async #end(tell: boolean): Promise<void> {
    const opened = await this.opening.catch(() => undefined);
    if (!opened) return;
    const { client, transport } = opened;
    delete client.client.onclose;
    // A failure changes nothing: the server ends the session by itself some day.
    if (tell && transport.sessionId !== undefined)
      await atMost(
        END_MS,
        transport.end().catch(() => undefined),
      );
    await client.close();
  }
}

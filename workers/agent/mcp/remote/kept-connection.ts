/** A connection that is kept for later requests, from its start to its end. Agent threads. */
import { atMost } from '../../../../src/shared/abort.js';
import type { OpenedConnection } from './opening.js';

/** Deadline for ending the session at the server. */
const END_MS = 2_000;

export class KeptConnection {
  /** Of the credentials that it was opened with. */
  readonly key: string;
  /** The session that opened it; a legacy connection is that session's own. */
  readonly session: string;
  readonly opening: Promise<OpenedConnection>;
  /** Set once it is open. */
  opened: OpenedConnection | undefined;
  /** Resolves when it is open or has failed. Never rejects. */
  readonly settled: Promise<void>;
  #ending: Promise<void> | undefined;

  constructor(key: string, session: string, opening: Promise<OpenedConnection>) {
    this.key = key;
    this.session = session;
    this.opening = opening;
    this.settled = opening.then(
      (opened) => void (this.opened = opened),
      () => undefined, // those who wait for `opening` get the error
    );
  }

  /** 0 while it is starting or a request runs. */
  get idleMs(): number {
    return this.opened?.client.idleMs ?? 0;
  }

  /** Ends the session at the server, if there is one, and closes. Running requests fail. Never rejects. */
  end(): Promise<void> {
    this.#ending ??= this.#end(true);
    return this.#ending;
  }

  /** Closes without ending the session at the server, which has lost it. */
  retire(): Promise<void> {
    this.#ending ??= this.#end(false);
    return this.#ending;
  }

  async #end(tell: boolean): Promise<void> {
    const opened = await this.opening.catch(() => undefined);
    if (!opened) return;
    const { client, transport } = opened;
    delete client.client.onclose;
    // A failure does no harm: the server's own session timeout ends it.
    if (tell && transport.sessionId !== undefined)
      await atMost(
        END_MS,
        transport.end().catch(() => undefined),
      );
    await client.close();
  }
}

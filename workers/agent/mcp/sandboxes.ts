/** The sandboxes of this agent thread's sessions, one for each session and server, made on the first tool that needs it. */
import type { Config } from '../../../src/config.js';
import type { Logger } from '../../../src/log.js';
import { gauge } from '../../../src/metrics.js';
import { SandboxConnection, type SandboxHost } from './connection.js';

export class Sandboxes {
  readonly #host: SandboxHost;
  readonly #config: Config;
  readonly #log: Logger;
  /** session → server → its connection. An entry goes when its sandbox ends or its session does. */
  readonly #bySession = new Map<string, Map<string, Promise<SandboxConnection>>>();

  constructor(host: SandboxHost, config: Config, log: Logger) {
    this.#host = host;
    this.#config = config;
    this.#log = log;
    gauge('fairlead_agent_sandboxes', 'Sandboxes that sessions of this thread hold', [], (g) => {
      let count = 0;
      for (const servers of this.#bySession.values()) count += servers.size;
      g.set(count);
    });
  }

  /** The session's sandbox for that server, started when it has none. Concurrent callers share one start. */
  get(session: string, server: string): Promise<SandboxConnection> {
    const servers = this.#bySession.get(session) ?? new Map<string, Promise<SandboxConnection>>();
    const held = servers.get(server);
    if (held) return held;
    const forget = (): void => {
      if (servers.get(server) !== opening) return;
      servers.delete(server);
      if (servers.size === 0 && this.#bySession.get(session) === servers) this.#bySession.delete(session);
    };
    const opening = SandboxConnection.open({
      host: this.#host,
      session,
      server,
      handshakeTimeoutMs: this.#config.sandbox.startTimeoutMs,
      log: this.#log,
      onEnd: (reason) => {
        this.#log.warn({ session, server, reason }, 'sandbox ended');
        forget();
      },
    });
    servers.set(server, opening);
    this.#bySession.set(session, servers);
    opening.catch(forget); // the caller gets the error; the next call starts a new one
    return opening;
  }

  /** Gives back all that the session holds, also what is still starting. */
  async releaseSession(session: string): Promise<void> {
    const servers = this.#bySession.get(session);
    if (!servers) return;
    this.#bySession.delete(session);
    await Promise.allSettled([...servers.values()].map(async (opening) => (await opening).close()));
  }

  /** The thread ends: an open port would keep it alive. */
  async disconnect(): Promise<void> {
    const held = [...this.#bySession.values()].flatMap((servers) => [...servers.values()]);
    this.#bySession.clear();
    await Promise.allSettled(held.map(async (opening) => (await opening).disconnect()));
  }
}

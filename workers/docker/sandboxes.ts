/** Every sandbox that this instance has: whose it is, what state it is in, and who removes it. Docker thread. */
import { randomBytes } from 'node:crypto';
import type { Config } from '../../src/config.js';
import { FairleadError } from '../../src/errors.js';
import type { Logger } from '../../src/log.js';
import { counter, gauge, histogram, SECONDS_SLOW } from '../../src/metrics.js';
import type { RunningSandbox, SandboxDriver } from './driver.js';
import type { LeaseRequest, LeaseResult } from './messages.js';
import { StdioRelay } from './stdio-relay.js';

/**
 * starting ──▶ leased ──▶ draining ──▶ gone
 *     └──────────────────────────────────▲
 * The driver removes what a failed start made; from `leased` on, `#drain` does.
 */
export type SandboxState = 'starting' | 'leased' | 'draining';

interface Sandbox {
  readonly name: string;
  readonly session: string;
  readonly server: string;
  readonly relay: StdioRelay;
  /** Settles with its start, never rejects. */
  started: Promise<unknown>;
  running: RunningSandbox | undefined;
  removal: Promise<void> | undefined;
}

const byState = gauge('fairlead_sandboxes', 'Sandboxes by state', ['state']);
const leases = counter('fairlead_sandbox_leases_total', 'Sandboxes asked for', ['outcome']);
const leaseSeconds = histogram('fairlead_sandbox_lease_seconds', 'From being asked to being attached', SECONDS_SLOW);

export interface SandboxesOptions {
  config: Config;
  instance: string;
  driver: SandboxDriver;
  log: Logger;
}

export class Sandboxes {
  readonly #options: SandboxesOptions;
  /** A sandbox's state is the queue it sits in. */
  readonly #queues: Record<SandboxState, Set<Sandbox>> = {
    starting: new Set(),
    leased: new Set(),
    draining: new Set(),
  };
  readonly #byName = new Map<string, Sandbox>();
  readonly #byId = new Map<string, Sandbox>();
  #closing: Promise<number> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  isKnown(name: string): boolean {
    return this.#byName.has(name);
  }

  count(state: SandboxState): number {
    return this.#queues[state].size;
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, ERR_DRAINING; ERR_CANCELLED when the port closes before the sandbox is there. */
  async lease({ session, server, port }: LeaseRequest): Promise<LeaseResult> {
    const { config, driver, instance } = this.#options;
    const relay = new StdioRelay(port);
    try {
      if (this.#closing) throw new FairleadError('ERR_DRAINING', 'the server is stopping');
      const configured = config.mcpServers[server];
      if (!configured) throw new FairleadError('ERR_SANDBOX', `mcpServers has no server ${server}`);
      const name = `fairlead-${instance.replaceAll(/[^a-zA-Z0-9]/g, '').slice(0, 8)}-${randomBytes(8).toString('hex')}`;
      const sandbox: Sandbox = {
        name,
        session,
        server,
        relay,
        started: Promise.resolve(),
        running: undefined,
        removal: undefined,
      };
      const { image, env } = configured;
      this.#move(sandbox, undefined, 'starting');
      const began = performance.now();
      const starting = driver.start({ name, session, server, image, env, signal: relay.closed });
      const lease = starting.then(
        (running) => this.#leased(sandbox, running),
        (error: unknown) => {
          this.#move(sandbox, 'starting', 'gone');
          throw error;
        },
      );
      sandbox.started = lease.catch(() => undefined); // the caller has the error; this is for those who wait for the end
      await lease;
      const startedMs = Math.round(performance.now() - began);
      leases.inc({ outcome: 'ok' });
      leaseSeconds.observe(startedMs / 1_000);
      return { sandbox: sandbox.running?.id ?? name, startedMs };
    } catch (error) {
      leases.inc({ outcome: error instanceof FairleadError ? error.code : 'ERR_INTERNAL' });
      relay.end(null, 'the sandbox did not start');
      throw this.#closing ? new FairleadError('ERR_DRAINING', 'the server is stopping', { cause: error }) : error;
    }
  }

  /** ERR_UNAVAILABLE when it could not be removed now; the next reconcile does it then. */
  async release(id: string): Promise<void> {
    const sandbox = this.#byId.get(id);
    if (sandbox) await this.#drain(sandbox, 'released');
  }

  async releaseSession(session: string): Promise<number> {
    return this.#drainAll((sandbox) => sandbox.session === session, 'its session has ended');
  }

  /** Removes all; nothing is leased afterwards. Idempotent. */
  close(): Promise<number> {
    this.#closing ??= (async () => {
      const removed = await this.#drainAll(() => true, 'the server is stopping');
      await this.#options.driver.close();
      return removed;
    })();
    return this.#closing;
  }

  async #drainAll(which: (sandbox: Sandbox) => boolean, reason: string): Promise<number> {
    const chosen = [...this.#byName.values()].filter(which);
    const results = await Promise.allSettled(chosen.map((sandbox) => this.#drain(sandbox, reason)));
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  #leased(sandbox: Sandbox, running: RunningSandbox): void {
    sandbox.running = running;
    this.#byId.set(running.id, sandbox);
    this.#move(sandbox, 'starting', 'leased');
    const { closed } = sandbox.relay;
    const onClosed = (): void => {
      const { reason } = closed as { reason: unknown };
      this.#drain(sandbox, 'closed').catch((error: unknown) => {
        this.#options.log.warn({ err: error, sandbox: running.id, reason }, 'left to the next reconcile');
      });
    };
    if (closed.aborted) {
      onClosed();
      closed.throwIfAborted();
    }
    closed.addEventListener('abort', onClosed, { once: true });
    sandbox.relay.attach(running);
  }

  /** From any state to gone; callers that come later wait for the first one's removal. */
  #drain(sandbox: Sandbox, reason: string): Promise<void> {
    sandbox.removal ??= this.#remove(sandbox, reason);
    return sandbox.removal;
  }

  async #remove(sandbox: Sandbox, reason: string): Promise<void> {
    if (!sandbox.running) {
      sandbox.relay.end(null, reason); // aborts the start, which removes what it made
      await sandbox.started;
      return;
    }
    this.#move(sandbox, 'leased', 'draining');
    sandbox.relay.end(null, reason);
    try {
      await sandbox.running.destroy();
    } finally {
      // Gone also when it could not be removed: what nobody knows is what the next reconcile looks for.
      this.#byId.delete(sandbox.running.id);
      this.#move(sandbox, 'draining', 'gone');
    }
  }

  /** The only transition. */
  #move(sandbox: Sandbox, from: SandboxState | undefined, to: SandboxState | 'gone'): void {
    if (from) {
      this.#queues[from].delete(sandbox);
      byState.dec({ state: from });
    } else {
      this.#byName.set(sandbox.name, sandbox);
    }
    if (to === 'gone') {
      this.#byName.delete(sandbox.name);
      return;
    }
    this.#queues[to].add(sandbox);
    byState.inc({ state: to });
  }
}

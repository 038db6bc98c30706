/**
 * Sandboxes whose session has nobody who speaks for it at the moment: an agent thread has died, or the thread or the server
 * that held them. They run on and wait for their session; who does not come hibernates. Docker thread.
 */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { bulkhead } from 'cockatiel';
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../../../src/shared/abort.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter, gauge } from '../../../src/shared/metrics.js';
import { CHECK_BEFORE_LEASE_MS } from '../pool/container-pool.js';
import type { FoundSandbox, RunningSandbox } from '../driver/driver.js';
import type { Lease } from './lease.js';
import { checkAlive } from '../pool/sandbox.js';
import { WarmServer } from '../pool/warm-server.js';
import { ownerKey, type Owner } from '../archive/workspaces.js';

/** Each is a stream to Docker and a greeting. */
const AT_ONCE = 8;
const ATTACH_AGAIN_MS = 2_000;
/** What runs in it may leave it little time to answer; one on a shelf has nothing else to do. */
const CHECK_TIMEOUT_MS = 5_000;

const waiting = gauge('fairlead_sandbox_orphans', 'Sandboxes that run on and wait for their session to come back');
const outcomes = counter('fairlead_sandbox_orphans_total', 'Sandboxes that had lost whoever held them', ['outcome']);

interface Orphan {
  readonly lease: Lease;
  /** ReadySandbox, looked at or saved at the moment: nobody gets it before that has ended. Never rejects. */
  busy: Promise<void> | undefined;
  /** Until it hibernates. */
  timer: NodeJS.Timeout | undefined;
}

export interface OrphansOptions {
  /** 0 = never. */
  hibernateAfterMs: number;
  greetTimeoutMs: number;
  /** What that server is told that we can do. */
  capabilities: (server: string) => ClientCapabilities;
  log: Logger;
  /** Another client follows: counts it, and writes that down. ERR_SANDBOX. */
  nextGeneration: (lease: Lease) => void;
  /** Saved, then ended. Rejects when it could not be saved: then it is as before. */
  hibernate: (lease: Lease) => Promise<unknown>;
  /** Saved as far as it can be, then ended. Never rejects. */
  giveUp: (lease: Lease) => Promise<void>;
  /** Ended, nothing saved. Never rejects. */
  destroy: (lease: Lease) => Promise<void>;
}

export class Orphans {
  readonly #options: OrphansOptions;
  /** By session and server: whoever asks can be given one only. */
  readonly #byKey = new Map<string, Orphan>();
  readonly #greeting = bulkhead(AT_ONCE, Infinity);
  #closed = false;

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  /** Without a relay from here on. Of two of one session's server the newer stays, by generation, then by coming later. */
  add(lease: Lease): void {
    const before = this.#byKey.get(ownerKey(lease))?.lease;
    if (before) {
      const loser = before.generation > lease.generation ? lease : before;
      this.#options.log.warn({ sandbox: loser.id, session: loser.session }, 'a session has two sandboxes: one goes');
      if (loser === before) this.forget(before);
      void this.#options.destroy(loser);
      if (loser === lease) return;
    }
    const orphan: Orphan = { lease, busy: undefined, timer: undefined };
    this.#byKey.set(ownerKey(lease), orphan);
    waiting.set(this.#byKey.size);
    this.#work(orphan, () => this.#greeting.execute(() => this.#greet(orphan)));
  }

  /**
   * The one of this session's server, once it is ready, and not an orphan's any more; undefined: there is none.
   * ERR_UNAVAILABLE when it takes too long; the signal's reason.
   */
  async take(owner: Owner, signal: AbortSignal, timeoutMs: number): Promise<Lease | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const orphan = this.#byKey.get(ownerKey(owner));
      if (!orphan) return undefined;
      const { lease } = orphan;
      if (!orphan.busy && performance.now() - lease.sandbox.aliveAt > CHECK_BEFORE_LEASE_MS) {
        this.#work(orphan, () => this.#check(lease));
      }
      if (orphan.busy) {
        await waitFor(orphan.busy, signal, deadline - performance.now());
        continue;
      }
      this.forget(lease);
      outcomes.inc({ outcome: 'taken' });
      return lease;
    }
  }

  /** When nothing is done with it at the moment. ERR_UNAVAILABLE when that takes too long. */
  async settled(lease: Lease, timeoutMs: number): Promise<void> {
    const busy = this.#byKey.get(ownerKey(lease))?.busy;
    if (busy) await waitFor(busy, lease.sandbox.abort.signal, timeoutMs);
  }

  /** It has ended, or is somebody's again. */
  forget(lease: Lease): void {
    const orphan = this.#byKey.get(ownerKey(lease));
    if (orphan?.lease !== lease) return;
    clearTimeout(orphan.timer);
    this.#byKey.delete(ownerKey(lease));
    waiting.set(this.#byKey.size);
  }

  has(lease: Lease): boolean {
    return this.#byKey.get(ownerKey(lease))?.lease === lease;
  }

  /** None hibernates by itself any more; those that are not attached yet stay as they are. */
  close(): void {
    this.#closed = true;
    for (const orphan of this.#byKey.values()) clearTimeout(orphan.timer);
  }

  #work(orphan: Orphan, work: () => Promise<void>): void {
    clearTimeout(orphan.timer);
    orphan.busy = this.#run(orphan, work);
  }

  async #run(orphan: Orphan, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error({ err: error, sandbox: orphan.lease.id }, 'an orphaned sandbox: a fault');
    }
    orphan.busy = undefined;
    this.#arm(orphan);
  }

  #arm(orphan: Orphan): void {
    const { hibernateAfterMs } = this.#options;
    if (hibernateAfterMs === 0 || this.#closed || !this.has(orphan.lease)) return;
    orphan.timer = setTimeout(() => this.#work(orphan, () => this.#hibernate(orphan.lease)), hibernateAfterMs);
  }

  async #greet(orphan: Orphan): Promise<void> {
    const { lease } = orphan;
    const { log, nextGeneration, giveUp, greetTimeoutMs, capabilities } = this.#options;
    const { session, server, sandbox } = lease;
    try {
      const running = sandbox.running ?? (await attachPatiently(sandbox.found, sandbox.abort.signal, log));
      sandbox.running = running;
      nextGeneration(lease);
      sandbox.mcp = await WarmServer.open(running, {
        server,
        capabilities: capabilities(server),
        timeoutMs: greetTimeoutMs,
        again: true,
      });
      sandbox.aliveAt = performance.now();
      // Its relay would have noticed; until it has one again, this does.
      void running.exited.then(({ reason }) => this.#noteExit(lease, reason));
      outcomes.inc({ outcome: 'kept' });
      log.info({ session, server, sandbox: lease.id }, 'a sandbox waits for its session to come back');
    } catch (error) {
      if (!this.has(lease) || this.#closed) return; // ended meanwhile, and that is why
      outcomes.inc({ outcome: 'lost' });
      log.warn({ err: error, session, server, sandbox: lease.id }, 'a sandbox does not answer again: saved and let go');
      await giveUp(lease);
    }
  }

  async #check(lease: Lease): Promise<void> {
    if ((await checkAlive(lease.sandbox, CHECK_TIMEOUT_MS)) || !this.has(lease)) return;
    outcomes.inc({ outcome: 'lost' });
    this.#options.log.warn({ sandbox: lease.id, session: lease.session }, 'an orphaned sandbox does not answer');
    await this.#options.giveUp(lease);
  }

  async #hibernate(lease: Lease): Promise<void> {
    try {
      await this.#options.hibernate(lease);
      outcomes.inc({ outcome: 'hibernated' });
    } catch (error) {
      this.#options.log.warn({ err: error, sandbox: lease.id }, 'a sandbox could not hibernate and stays');
    }
  }

  async #noteExit(lease: Lease, reason: string): Promise<void> {
    if (!this.has(lease)) return;
    outcomes.inc({ outcome: 'died' });
    this.#options.log.warn({ sandbox: lease.id, session: lease.session, reason }, 'an orphaned sandbox has ended');
    await this.#options.giveUp(lease); // what was lost may be the stream only
  }
}

/** Docker may be away for a while, and what is in a sandbox is worth the wait. ERR_SANDBOX; the signal's reason. */
export async function attachPatiently(
  found: FoundSandbox | undefined,
  signal: AbortSignal,
  log: Logger,
): Promise<RunningSandbox> {
  if (!found) throw new FairleadError('ERR_SANDBOX', 'the sandbox does not run');
  for (;;) {
    try {
      return await found.attach(signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isFairleadError(error, 'ERR_UNAVAILABLE')) throw error;
      log.warn({ err: error, sandbox: found.id }, 'a sandbox cannot be taken up again now');
      await delay(ATTACH_AGAIN_MS, undefined, { signal });
    }
  }
}

/** ERR_UNAVAILABLE after `timeoutMs`; the signal's reason. `promise` must not reject. */
export async function waitFor(promise: Promise<unknown>, signal: AbortSignal, timeoutMs: number): Promise<void> {
  const text = `the session’s sandbox was not ready within ${Math.round(timeoutMs)} ms`;
  const late = (): Error => new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: ATTACH_AGAIN_MS });
  await withDeadline({ timeoutMs, late, signal }, () => promise);
}

/**
 * Orphans: leased sandboxes without an agent thread, since that thread, the docker thread or the server died. They run on
 * until their session asks for them, and hibernate if it does not. Docker thread.
 */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { bulkhead } from 'cockatiel';
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../../../src/shared/abort.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter, gauge } from '../../../src/shared/metrics.js';
import { CHECK_BEFORE_LEASE_MS } from '../pool/container-pool.js';
import type { FoundSandbox, RunningSandbox, SandboxExit } from '../driver/driver.js';
import type { Lease } from './lease.js';
import { checkAlive, type Sandbox } from '../pool/sandbox.js';
import { WarmServer } from '../pool/warm-server.js';
import { ownerKey, type Owner } from '../archive/workspaces.js';

/** Each attaches to Docker and does a handshake. */
const AT_ONCE = 8;
/** A daemon may start again in the middle of one. */
const GREETINGS = 3;
const ATTACH_AGAIN_MS = 2_000;
/** Longer than for a warm sandbox: a leased one may be busy with what runs in it. */
const CHECK_TIMEOUT_MS = 5_000;

const waiting = gauge('fairlead_sandbox_orphans', 'Sandboxes that wait for their session to come back');
const outcomes = counter(
  'fairlead_sandbox_orphans_total',
  'Sandboxes that lost their agent thread, docker thread or server',
  ['outcome'],
);

interface Orphan {
  readonly lease: Lease;
  /** The handshake, health check or save under way: nobody gets the orphan before its end. Never rejects. */
  busy: Promise<void> | undefined;
  /** Hibernates it. */
  timer: NodeJS.Timeout | undefined;
}

export interface OrphansOptions {
  /** 0 = never. */
  hibernateAfterMs: number;
  handshakeTimeoutMs: number;
  /** Client capabilities for that server. */
  capabilities: (server: string) => ClientCapabilities;
  log: Logger;
  /** Counts and records the next client of this sandbox. ERR_SANDBOX. */
  nextGeneration: (lease: Lease) => void;
  /** Saves and ends it. Rejects when it cannot be saved: then nothing has changed. */
  hibernate: (lease: Lease) => Promise<unknown>;
  /** Saves it if that is possible, and ends it. Never rejects. */
  giveUp: (lease: Lease, reason: string) => Promise<void>;
  /** Its container has ended. Never rejects. */
  died: (lease: Lease, reason: string) => Promise<void>;
  /** Ends it without saving. Never rejects. */
  destroy: (lease: Lease) => Promise<void>;
}

export class Orphans {
  readonly #options: OrphansOptions;
  /** By session and server: at most one each. */
  readonly #byKey = new Map<string, Orphan>();
  readonly #handshakes = bulkhead(AT_ONCE, Infinity);
  #closed = false;

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  /** The lease has no relay from here on. Of two for one session and server, the higher generation stays, then the later one. */
  add(lease: Lease): void {
    const before = this.#byKey.get(ownerKey(lease))?.lease;
    if (before) {
      const loser = before.generation > lease.generation ? lease : before;
      this.#options.log.warn(
        { sandbox: loser.id, session: loser.session },
        'a session has two sandboxes: one is removed',
      );
      if (loser === before) this.forget(before);
      void this.#options.destroy(loser);
      if (loser === lease) return;
    }
    const orphan: Orphan = { lease, busy: undefined, timer: undefined };
    this.#byKey.set(ownerKey(lease), orphan);
    waiting.set(this.#byKey.size);
    this.#work(orphan, () => this.#handshakes.execute(() => this.#reconnect(orphan)));
  }

  /**
   * Removes and returns this session's orphan as soon as it is ready; undefined: there is none. ERR_UNAVAILABLE when that
   * takes too long; the signal's reason.
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

  /** Resolves when no work on this lease is under way. ERR_UNAVAILABLE when that takes too long. */
  async settled(lease: Lease, timeoutMs: number): Promise<void> {
    const busy = this.#byKey.get(ownerKey(lease))?.busy;
    if (busy) await waitFor(busy, lease.sandbox.abort.signal, timeoutMs);
  }

  /** The lease has ended, or has an agent thread again. */
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

  /** Stops all hibernation timers. Orphans that are not attached yet stay as they are. */
  close(): void {
    this.#closed = true;
    for (const orphan of this.#byKey.values()) clearTimeout(orphan.timer);
  }

  #work(orphan: Orphan, work: () => Promise<void>): void {
    clearTimeout(orphan.timer);
    const busy = this.#run(orphan, work, orphan.busy);
    orphan.busy = busy;
    void this.#rest(orphan, busy);
  }

  async #rest(orphan: Orphan, busy: Promise<void>): Promise<void> {
    await busy;
    if (orphan.busy !== busy) return;
    orphan.busy = undefined;
    this.#arm(orphan);
  }

  async #run(orphan: Orphan, work: () => Promise<void>, before: Promise<void> | undefined): Promise<void> {
    await before;
    try {
      if (this.has(orphan.lease)) await work();
    } catch (error) {
      this.#options.log.error({ err: error, sandbox: orphan.lease.id }, 'work on an orphan failed');
    }
  }

  #arm(orphan: Orphan): void {
    const { hibernateAfterMs } = this.#options;
    if (hibernateAfterMs === 0 || this.#closed || !this.has(orphan.lease)) return;
    orphan.timer = setTimeout(() => this.#work(orphan, () => this.#hibernate(orphan.lease)), hibernateAfterMs);
  }

  async #reconnect(orphan: Orphan): Promise<void> {
    const { lease } = orphan;
    const { log, giveUp } = this.#options;
    const { session, server, sandbox } = lease;
    try {
      const running = await this.#greet(lease, GREETINGS);
      sandbox.aliveAt = performance.now();
      // Without a relay nobody else notices its end.
      void running.exited.then((exit) => this.#noteExit(lease, exit));
      outcomes.inc({ outcome: 'kept' });
      log.info({ session, server, sandbox: lease.id }, 'an orphan waits for its session');
    } catch (error) {
      if (!this.has(lease) || this.#closed) return; // it failed because it was ended meanwhile
      outcomes.inc({ outcome: 'lost' });
      log.warn({ err: error, session, server, sandbox: lease.id }, 'an orphan does not answer: it is saved and ended');
      await giveUp(lease, (error as Error).message);
    }
  }

  /** Attaches and does the handshake of the next client, again if the daemon ends in the middle. ERR_SANDBOX. */
  async #greet(lease: Lease, tries: number): Promise<RunningSandbox> {
    const { log, nextGeneration, handshakeTimeoutMs, capabilities } = this.#options;
    const { server, sandbox } = lease;
    const running = await attached(sandbox, log);
    sandbox.running = running;
    sandbox.cutOff = false;
    nextGeneration(lease);
    try {
      const options = { server, capabilities: capabilities(server), timeoutMs: handshakeTimeoutMs, again: true };
      sandbox.mcp = await WarmServer.open(running, options);
      return running;
    } catch (error) {
      const exit = await Promise.race([running.exited, Promise.resolve(undefined)]);
      if (exit?.mayRun === undefined || tries <= 1) throw error;
      sandbox.cutOff = true;
      return this.#greet(lease, tries - 1);
    }
  }

  async #check(lease: Lease): Promise<void> {
    if ((await checkAlive(lease.sandbox, CHECK_TIMEOUT_MS)) || !this.has(lease)) return;
    outcomes.inc({ outcome: 'lost' });
    this.#options.log.warn(
      { sandbox: lease.id, session: lease.session },
      'an orphan does not answer: it is saved and ended',
    );
    await this.#options.giveUp(lease, 'it did not answer');
  }

  async #hibernate(lease: Lease): Promise<void> {
    try {
      await this.#options.hibernate(lease);
      outcomes.inc({ outcome: 'hibernated' });
    } catch (error) {
      this.#options.log.warn({ err: error, sandbox: lease.id }, 'an orphan could not hibernate and stays');
    }
  }

  async #noteExit(lease: Lease, { reason, mayRun }: SandboxExit): Promise<void> {
    const orphan = this.#byKey.get(ownerKey(lease));
    if (orphan?.lease !== lease) return;
    if (mayRun && !this.#closed) {
      lease.sandbox.cutOff = true;
      this.#work(orphan, () => this.#handshakes.execute(() => this.#reconnect(orphan)));
      return;
    }
    outcomes.inc({ outcome: 'died' });
    this.#options.log.warn({ sandbox: lease.id, session: lease.session, reason }, 'an orphan has ended');
    await this.#options.died(lease, reason);
  }
}

/** With open streams: its own, or new ones where they were lost with the daemon or with an earlier run. */
async function attached(
  { running, cutOff = false, found, startedAt, abort }: Sandbox,
  log: Logger,
): Promise<RunningSandbox> {
  if (running && !cutOff) return running;
  if (!running) {
    return attachPatiently(found && { id: found.id, attach: (s) => found.attach(s, startedAt) }, abort.signal, log);
  }
  const { id } = running;
  const attach = running.attachAgain?.bind(running);
  return attachPatiently(attach && { id, attach }, abort.signal, log);
}

/** Attaches, and retries while Docker is away: the session's files are worth the wait. ERR_SANDBOX; the signal's reason. */
export async function attachPatiently(
  found: Pick<FoundSandbox, 'id' | 'attach'> | undefined,
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
      log.warn({ err: error, sandbox: found.id }, 'a sandbox cannot be attached now');
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

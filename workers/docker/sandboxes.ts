/** Every sandbox that this instance has: a pool an image, one budget for the box, leases and their ends. Docker thread. */
import { bulkhead } from 'cockatiel';
import { freemem } from 'node:os';
import { poolKey, type Config } from '../../src/config.js';
import { FairleadError, isFairleadError } from '../../src/errors.js';
import type { Logger } from '../../src/log.js';
import { counter, histogram } from '../../src/metrics.js';
import type { ToolDefinition } from '../../src/tool-definition.js';
import type { Archives } from './archives.js';
import { ContainerPool, type Sandbox, type SandboxState } from './container-pool.js';
import type { SandboxDriver } from './driver.js';
import type { LeaseRequest, LeaseResult } from './messages.js';
import { planBox } from './plan-pool.js';
import { StdioRelay } from './stdio-relay.js';

const PLAN_EVERY_MS = 1_000;
const PROVE_EVERY_MS = 15_000;
/** What a start is expected to take of the box's free memory until it is seen. */
const START_MB = 32;
/** Until some have been seen. */
const FIRST_RELEASE_MS = 5_000;
const MIB = 1_048_576;
/** Each is a tar in its container and a stream through this thread. */
const SAVES_AT_ONCE = 8;

const leases = counter('fairlead_sandbox_leases_total', 'Sandboxes asked for', ['outcome']);
const hibernations = counter('fairlead_sandbox_hibernations_total', 'Workspaces saved and restored', ['outcome']);
const leaseSeconds = histogram(
  'fairlead_sandbox_lease_seconds',
  'From being asked to being handed over',
  [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
);

export interface SandboxesOptions {
  config: Config;
  instance: string;
  driver: SandboxDriver;
  archives: Archives;
  log: Logger;
}

/** A sandbox that is someone's. */
interface Lease {
  readonly id: string;
  readonly session: string;
  readonly server: string;
  readonly sandbox: Sandbox;
  readonly pool: ContainerPool;
  readonly relay: StdioRelay;
  ended?: Promise<void>;
}

export class Sandboxes {
  readonly #options: SandboxesOptions;
  /** By server; servers with the same image and environment share one. */
  readonly #pools = new Map<string, ContainerPool>();
  readonly #leases = new Map<string, Lease>();
  /** On their way back to their pools. */
  readonly #ending = new Set<Lease>();
  /** Whose containers do not say yet whose they are. */
  readonly #unnamed = new Set<Lease>();
  #naming = false;
  /** Under way, by session and server; never reject. */
  readonly #saves = new Map<string, Promise<unknown>>();
  readonly #saving = bulkhead(SAVES_AT_ONCE, Infinity);
  #releaseMs = FIRST_RELEASE_MS;
  #releasedAt = performance.now();
  #planning: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #provenAt = performance.now();
  #closing: Promise<number> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    const { config, driver } = options;
    const { min, max, maxStarting, idleMs } = config.sandbox.pool;
    const shelf = Math.min(max, driver.maxWarm);
    const limits = { min: Math.min(min, shelf), max: shelf, maxStarting, idleMs };
    const byImage = new Map<string, ContainerPool>();
    for (const [server, { image, env }] of Object.entries(config.mcpServers)) {
      const key = poolKey({ image, env });
      const pool =
        byImage.get(key) ??
        new ContainerPool({
          ...options,
          server,
          image,
          env,
          limits,
          onChange: () => this.#planSoon(),
          outlook: () => ({ room: this.#room(this.#distinct()), releaseMs: this.#releaseMs }),
        });
      byImage.set(key, pool);
      this.#pools.set(server, pool);
    }
  }

  /** Fills the shelves from now on. */
  open(): void {
    this.#options.driver.watch({
      onDead: (name) => this.#noteDead(name),
      onBack: () => {
        for (const pool of this.#distinct()) pool.noteBack();
      },
    });
    this.#timer = setInterval(() => {
      this.#planSoon();
      void this.#nameLeased();
      if (performance.now() - this.#provenAt < PROVE_EVERY_MS) return;
      this.#provenAt = performance.now();
      for (const pool of this.#distinct()) void pool.proveWarm(PROVE_EVERY_MS / 2);
    }, PLAN_EVERY_MS);
    this.#planSoon();
  }

  isKnown(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  count(state: SandboxState): number {
    return this.#distinct().reduce((sum, pool) => sum + pool.counts[state], 0);
  }

  /** The sessions that hold a sandbox, or of which something is saved. */
  async sessions(): Promise<string[]> {
    const saved = await this.#options.archives.sessions();
    const held = [...this.#leases.values()].map(({ session }) => session);
    return [...new Set([...held, ...saved])];
  }

  /** What a server's image offers; starts one of it when none was there before. ERR_SANDBOX, ERR_UNAVAILABLE. */
  async readTools(server: string): Promise<ToolDefinition[]> {
    await this.#options.archives.load(); // a folder that cannot be used is told at the boot
    const signal = AbortSignal.timeout(this.#options.config.sandbox.leaseTimeoutMs * 2);
    return this.#poolOf(server).readTools(signal);
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, ERR_DRAINING; ERR_CANCELLED when the port closes before the sandbox is there. */
  async lease({ session, server, port }: LeaseRequest): Promise<LeaseResult> {
    const relay = new StdioRelay(port); // first: a port tells only those who listen that its other side is gone
    const began = performance.now();
    try {
      const pool = this.#poolOf(server);
      await this.#options.archives.load();
      await this.#saves.get(`${session} ${server}`);
      const sandbox = await pool.take(relay.closed);
      await this.#restore(sandbox, pool, { session, server, relay });
      const handshake = this.#handOver({ session, server, sandbox, pool, relay });
      const waitedMs = performance.now() - began;
      leases.inc({ outcome: 'ok' });
      leaseSeconds.observe(waitedMs / 1_000);
      return { sandbox: sandbox.running?.id ?? sandbox.name, handshake, waitedMs };
    } catch (error) {
      leases.inc({ outcome: isFairleadError(error) ? error.code : 'ERR_INTERNAL' });
      relay.end(null, 'the sandbox did not start');
      throw this.#closing ? stopping(error) : error;
    }
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE: the workspace was not saved, and the sandbox is as before. */
  async hibernate(id: string): Promise<{ bytes: number; files: number }> {
    const lease = this.#leases.get(id);
    if (!lease) throw new FairleadError('ERR_SANDBOX', `there is no sandbox ${id}`);
    const saved = await this.#save(lease);
    hibernations.inc({ outcome: saved.files > 0 ? 'saved' : 'empty' });
    await this.#end(lease, 'hibernated');
    const { session, server } = lease;
    this.#options.log.info({ session, server, sandbox: id, ...saved }, 'sandbox hibernated');
    return saved;
  }

  /** ERR_UNAVAILABLE when it could not be removed now; the next reconcile does it then. */
  async release(id: string): Promise<void> {
    const lease = this.#leases.get(id) ?? [...this.#ending].find((ending) => ending.id === id);
    if (lease) await this.#end(lease, 'released');
  }

  /** The session is no more: its sandboxes go, and what was saved of them. */
  async releaseSession(session: string): Promise<number> {
    const held = [...this.#leases.values(), ...this.#ending].filter((lease) => lease.session === session);
    const results = await Promise.allSettled(held.map((lease) => this.#end(lease, 'its session has ended')));
    await this.#options.archives.forget(session);
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  #noteDead(name: string): void {
    const found = this.#find(name);
    if (found) void found.pool.noteDead(found.sandbox);
  }

  /** Removes all; nothing is leased afterwards. Resolves with how many were removed. Idempotent. */
  close(): Promise<number> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<number> {
    clearInterval(this.#timer);
    clearImmediate(this.#planning);
    this.#unnamed.clear();
    const pools = this.#distinct();
    for (const pool of pools) pool.close(stopping());
    for (const { relay } of this.#leases.values()) relay.end(null, 'the server is stopping');
    const removals = pools.flatMap((pool) => [...pool.all()].map((sandbox) => pool.drain(sandbox)));
    const results = await Promise.allSettled(removals);
    this.#leases.clear();
    await this.#options.driver.close();
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  /** No await from here to its end: a sandbox is the pool's or a lease's, at every moment. */
  #handOver(parts: Omit<Lease, 'id'>): LeaseResult['handshake'] {
    const { sandbox, pool, relay } = parts;
    const { running, waiting } = sandbox;
    if (this.#closing) throw stopping();
    if (!running || !waiting) throw new FairleadError('ERR_INTERNAL', `the sandbox ${sandbox.name} is not running`);
    if (relay.closed.aborted) {
      pool.putBack(sandbox); // nobody has written into it
      relay.closed.throwIfAborted();
    }
    const lease: Lease = { ...parts, id: running.id };
    this.#leases.set(lease.id, lease);
    const onClosed = (): void => {
      // An agent thread that has died takes no person's files with it.
      const saved = relay.abandoned
        ? this.#save(lease).catch((error: unknown) => this.#warnUnsaved(lease, error))
        : undefined;
      Promise.resolve(saved)
        .then(() => this.#end(lease, 'closed'))
        .catch((error: unknown) => {
          this.#options.log.warn({ err: error, sandbox: lease.id }, 'left to the next reconcile');
        });
    };
    relay.closed.addEventListener('abort', onClosed, { once: true });
    waiting.detach();
    relay.attach(running);
    if (running.assign) this.#unnamed.add(lease);
    this.#options.log.info({ session: parts.session, server: parts.server, sandbox: lease.id }, 'sandbox leased');
    return waiting.handshake;
  }

  /** One at a time and not at once: people wait for starts and for first answers, nobody for a name. */
  async #nameLeased(): Promise<void> {
    if (this.#naming) return;
    this.#naming = true;
    for (const lease of this.#unnamed) {
      this.#unnamed.delete(lease);
      this.#noteRelease();
      await lease.sandbox.running?.assign?.(lease.session);
    }
    this.#naming = false;
  }

  /** Whoever asks again waits for the same end. */
  async #end(lease: Lease, reason: string): Promise<void> {
    lease.relay.end(null, reason);
    if (this.#leases.get(lease.id) === lease) {
      this.#leases.delete(lease.id); // before it goes back: it may be another's at once
      this.#unnamed.delete(lease);
      lease.ended = lease.pool.giveBack(lease.sandbox).finally(() => this.#ending.delete(lease));
      this.#ending.add(lease);
    }
    await lease.ended;
  }

  #noteRelease(): void {
    const now = performance.now();
    this.#releaseMs += (now - this.#releasedAt - this.#releaseMs) / 4;
    this.#releasedAt = now;
  }

  #save({ session, server, sandbox }: Lease): Promise<{ bytes: number; files: number }> {
    const { running } = sandbox;
    if (!running) return Promise.reject(new FairleadError('ERR_SANDBOX', 'the sandbox does not run'));
    const key = `${session} ${server}`;
    const saving = this.#saving.execute(() => this.#options.archives.save(session, server, running));
    const settled = saving
      .catch(() => undefined) // the caller is told
      .finally(() => {
        if (this.#saves.get(key) === settled) this.#saves.delete(key);
      });
    this.#saves.set(key, settled);
    return saving;
  }

  /** Before it is handed over; a sandbox in which that failed is nobody's. */
  async #restore(
    sandbox: Sandbox,
    pool: ContainerPool,
    to: Pick<Lease, 'session' | 'server' | 'relay'>,
  ): Promise<void> {
    const { archives, log } = this.#options;
    const { running } = sandbox;
    if (!running || !archives.has(to.session, to.server)) return;
    try {
      await archives.restore(to.session, to.server, running, to.relay.closed);
      hibernations.inc({ outcome: 'restored' });
    } catch (error) {
      hibernations.inc({ outcome: 'restore_failed' });
      pool.drain(sandbox).catch((failure: unknown) => {
        log.warn({ err: failure, sandbox: running.id }, 'left to the next reconcile');
      });
      to.relay.closed.throwIfAborted();
      throw error;
    }
  }

  #warnUnsaved({ id, session }: Lease, error: unknown): void {
    this.#options.log.error({ err: error, sandbox: id, session }, 'a workspace could not be saved and is lost');
  }

  #poolOf(server: string): ContainerPool {
    if (this.#closing) throw stopping();
    const pool = this.#pools.get(server);
    if (!pool) throw new FairleadError('ERR_SANDBOX', `mcpServers has no server ${server}`);
    return pool;
  }

  #distinct(): ContainerPool[] {
    return [...new Set(this.#pools.values())];
  }

  #find(name: string): { pool: ContainerPool; sandbox: Sandbox } | undefined {
    for (const pool of this.#distinct()) {
      for (const sandbox of pool.all()) if (sandbox.name === name) return { pool, sandbox };
    }
    return undefined;
  }

  /** Once for all that happens in one turn of the event loop. */
  #planSoon(): void {
    if (this.#closing || !this.#timer) return;
    this.#planning ??= setImmediate(() => {
      this.#planning = undefined;
      if (!this.#closing) this.#plan();
    });
  }

  #plan(): void {
    const pools = this.#distinct();
    const state = pools.map(({ counts, demand, limits, health }) => ({ counts, demand, limits, health }));
    const plans = planBox({ pools: state, room: this.#room(pools), now: performance.now() });
    for (const [index, plan] of plans.entries()) pools[index]?.apply(plan);
  }

  /** How many containers the budget of the box still allows. */
  #room(pools: readonly ContainerPool[]): number {
    const { containers, minFreeMemoryMb } = this.#options.config.sandbox.budget;
    let total = 0;
    let starting = 0;
    for (const { counts } of pools) {
      total += counts.starting + counts.warm + counts.leased + counts.draining;
      starting += counts.starting;
    }
    const freeMb = freemem() / MIB - minFreeMemoryMb - starting * START_MB;
    return Math.max(0, Math.min(containers - total, Math.floor(freeMb / START_MB)));
  }
}

function stopping(cause?: unknown): FairleadError {
  return new FairleadError('ERR_DRAINING', 'the server is stopping', { cause });
}

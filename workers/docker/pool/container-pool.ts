/** The warm pool of one image: starts sandboxes ahead of demand, hands them out in order, replaces used ones. Docker thread. */
import { randomBytes } from 'node:crypto';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import { counter, gauge, histogram, SECONDS_SLOW } from '../../../src/shared/metrics.js';
import { BringUp, type BringUpOptions } from './bring-up.js';
import type { FoundSandbox, RunningSandbox } from '../driver/driver.js';
import { LeaseQueue } from './lease-queue.js';
import {
  expectedWaitMs,
  noteDemand,
  type Churn,
  type DemandPeriod,
  type PoolCounts,
  type PoolLimits,
  type PoolPlan,
  type StartHealth,
} from './plan-pool.js';
import { RecentLeases } from './recent-leases.js';
import { StartPace, withRetry } from './start-pace.js';
import { makeSandbox, checkAlive, type Sandbox, type SandboxState } from './sandbox.js';
import type { Offered } from './tool-cache.js';
import type { WarmServer } from './warm-server.js';

export interface ContainerPoolOptions extends BringUpOptions {
  instance: string;
  name?: string; // in figures and in the log, see `poolName`; absent: the server's
  limits: PoolLimits;
  /** The plan depends on something that has changed. */
  onChange: () => void;
  /** No data of a lease is left in this sandbox: it is gone, or was reset and checked. By name. */
  onClean?: (name: string) => void;
  /** Of the host, shared by all pools: see `expectedWaitMs`. */
  forecast: () => { room: number; releaseMs: number };
}

/** A warm sandbox that was not heard of for so long is checked before it is leased. */
export const CHECK_BEFORE_LEASE_MS = 30_000;
const CHECK_TIMEOUT_MS = 1_000;

/** Share of `pool.min`. */
const RESERVED = 0.2;

const byState = gauge('fairlead_sandboxes', 'Sandboxes by state', ['server', 'state']);
const starts = counter('fairlead_sandbox_starts_total', 'Sandboxes started for the warm pool or the queue', [
  'server',
  'outcome',
]);
const startSeconds = histogram(
  'fairlead_sandbox_start_seconds',
  'From create to the answer of its MCP server',
  SECONDS_SLOW,
  ['server'],
);
const queued = gauge('fairlead_sandbox_line', 'Leases that wait for a sandbox', ['server']);
const resets = counter('fairlead_sandbox_resets_total', 'Used sandboxes restarted and checked', ['server', 'outcome']);
const lostWarm = counter('fairlead_sandbox_warm_lost_total', 'Warm sandboxes that died and were replaced', ['server']);

export class ContainerPool {
  readonly server: string;
  readonly image: string;
  readonly memoryMb: number;
  readonly limits: PoolLimits;
  readonly demand: DemandPeriod[] = [];
  readonly queue: LeaseQueue<Sandbox>;
  readonly #options: ContainerPoolOptions;
  /** A sandbox's state is the queue it is in; a Set keeps the order. */
  readonly #queues: Record<SandboxState, Set<Sandbox>> = {
    starting: new Set(),
    warm: new Set(),
    leased: new Set(),
    draining: new Set(),
  };
  readonly #pace = new StartPace();
  readonly #recent = new RecentLeases();
  readonly #bringUp: BringUp;
  #closed: FairleadError | undefined;

  constructor(options: ContainerPoolOptions) {
    this.#options = options;
    this.server = options.name ?? options.server;
    this.image = options.image;
    this.memoryMb = (options.sandboxLimits ?? options.config.sandbox).memoryMb;
    this.limits = options.limits;
    this.#bringUp = new BringUp(options);
    const { pool, leaseTimeoutMs } = options.config.sandbox;
    const onLength = (length: number): void => queued.set({ server: this.server }, length);
    this.queue = new LeaseQueue(pool.maxWaiting, leaseTimeoutMs, onLength, this.#recent);
  }

  get counts(): PoolCounts {
    const { starting, warm, leased, draining } = this.#queues;
    return {
      starting: starting.size,
      warm: warm.size,
      leased: leased.size,
      draining: draining.size,
      waiting: this.queue.length,
    };
  }

  get health(): StartHealth {
    return this.#pace.health;
  }

  get churn(): Churn | undefined {
    return this.#pace.churn(() => this.queue.modest);
  }

  *all(): Iterable<Sandbox> {
    for (const queue of Object.values(this.#queues)) yield* queue;
  }

  warm(): Iterable<Sandbox> {
    return this.#queues.warm;
  }

  /**
   * Moves the oldest warm sandbox, or the next one for this caller, to `leased`. ERR_UNAVAILABLE with `retryAfterMs` when
   * the queue is full or too slow; ERR_SANDBOX when the image cannot be started; the signal's reason.
   */
  async take(signal: AbortSignal, user = ''): Promise<Sandbox> {
    // What a greedy user takes is no demand that the pool grows for.
    if (this.queue.isGreedy(user)) this.#pace.noteGreedy();
    else noteDemand(this.demand, performance.now(), this.limits.idleMs);
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw this.#closed;
      const [first] = this.queue.length === 0 && !this.#leavesTheRest(user) ? this.#queues.warm : [];
      if (first) {
        this.#give(first, user);
        this.queue.noteLease(user);
      }
      const sandbox = first ?? (await this.#wait(signal, user));
      if (performance.now() - sandbox.aliveAt < CHECK_BEFORE_LEASE_MS || (await checkAlive(sandbox, CHECK_TIMEOUT_MS)))
        return sandbox;
      await this.#replaceDead(sandbox, 'does not answer');
    }
  }

  /** The image's tools: cached, or from its first sandbox. Errors as `take`. */
  async readTools(signal: AbortSignal): Promise<Offered> {
    const known = await this.#bringUp.offered();
    if (known) return known;
    this.putBack(await this.take(signal));
    return (await this.#bringUp.offered()) ?? { tools: [], resources: false, prompts: false };
  }

  /** Returns an unused sandbox. */
  putBack(sandbox: Sandbox): void {
    if (sandbox.state === 'leased') this.move(sandbox, 'leased', 'warm');
    this.#serve();
  }

  apply({ start, stop }: PoolPlan): void {
    this.#serve(); // who was greedy may not be any more
    for (let i = 0; i < start; i++) this.#start();
    for (const sandbox of [...this.#queues.warm].slice(0, stop)) this.#drainQuietly(sandbox);
  }

  /** Options hash of a sandbox started now; undefined when its image is missing. ERR_UNAVAILABLE. */
  optionsNow(): Promise<string | undefined> {
    return this.#bringUp.optionsNow();
  }

  /** Adopts an unused sandbox of an earlier run: warm after its handshake, which `inTurn` schedules, else removed. */
  adoptWarm(found: FoundSandbox, inTurn: (work: () => Promise<void>) => Promise<void>): void {
    const sandbox = makeSandbox(found.name, found);
    this.move(sandbox, undefined, 'starting');
    sandbox.started = inTurn(() => this.#adopt(sandbox, found));
  }

  /** Adopts a leased sandbox of an earlier run. */
  adoptLeased(found: FoundSandbox): Sandbox {
    const sandbox = makeSandbox(found.name, found);
    this.move(sandbox, undefined, 'leased');
    return sandbox;
  }

  /** Checks warm sandboxes that were not heard of for `olderThanMs`, and replaces dead ones. */
  async checkWarm(olderThanMs: number): Promise<void> {
    const now = performance.now();
    const old = [...this.#queues.warm].filter(({ aliveAt }) => now - aliveAt > olderThanMs);
    await Promise.all(
      old.map(async (sandbox) => {
        if ((await checkAlive(sandbox, CHECK_TIMEOUT_MS)) || sandbox.state !== 'warm') return;
        await this.#replaceDead(sandbox, 'does not answer');
      }),
    );
  }

  /** Docker reports its death: it is not leased, even if its stream looks alive. */
  async noteDead(sandbox: Sandbox): Promise<void> {
    if (sandbox.state === 'warm') await this.#replaceDead(sandbox, 'died');
  }

  /** The daemon answers; `again`: it was away. */
  noteBack(again: boolean): void {
    if (this.#pace.noteBack(again)) this.#options.onChange();
  }

  /** Ends a lease: the sandbox is destroyed or, with `reuse: "reset"`, reset and warm again. */
  giveBack(sandbox: Sandbox): Promise<void> {
    const { config } = this.#options;
    const { running } = sandbox;
    if (config.sandbox.reuse !== 'reset' || this.#closed || sandbox.state !== 'leased' || !running?.restart) {
      return this.drain(sandbox);
    }
    this.move(sandbox, 'leased', 'starting');
    sandbox.started = this.#reset(sandbox, running);
    return sandbox.started;
  }

  /** From any state to gone. Later callers join the removal under way. ERR_UNAVAILABLE. */
  drain(sandbox: Sandbox): Promise<void> {
    sandbox.removal ??= this.#remove(sandbox);
    return sandbox.removal;
  }

  /** Starts and leases nothing from now on. */
  close(error: FairleadError): void {
    this.#closed = error;
    this.queue.rejectAll(error);
  }

  /** The only transition. */
  move(sandbox: Sandbox, from: SandboxState | undefined, to: SandboxState | 'gone'): void {
    const { server } = this;
    if (from) {
      this.#queues[from].delete(sandbox);
      byState.dec({ server, state: from });
    }
    if (sandbox.user && from === 'leased') this.#recent.release(sandbox.user);
    if (sandbox.user && to === 'leased') this.#recent.hold(sandbox.user);
    sandbox.state = to;
    if (to !== 'gone') {
      this.#queues[to].add(sandbox);
      byState.inc({ server, state: to });
    }
    this.#options.onChange();
  }

  async #wait(signal: AbortSignal, user: string): Promise<Sandbox> {
    const { refusal, meanMs, backoffLeftMs } = this.#pace;
    if (refusal && this.#queues.starting.size === 0) throw refusal;
    const isGreedy = this.queue.isGreedy(user);
    const waitMs = expectedWaitMs({
      position: this.queue.position(user),
      starting: this.#queues.starting.size,
      maxStarting: isGreedy ? 1 : this.limits.maxStarting,
      startMs: isGreedy ? 2 * meanMs : meanMs,
      ...this.#options.forecast(),
    });
    const waiting = this.queue.wait(signal, Math.ceil(backoffLeftMs + waitMs), user);
    this.#options.onChange();
    return waiting;
  }

  /** The last warm sandboxes, left to others by a user who has taken many lately. */
  get #reserve(): number {
    return Math.floor(this.limits.min * RESERVED);
  }

  #leavesTheRest(user: string): boolean {
    return this.#onlyModest && this.queue.isGreedy(user);
  }

  get #onlyModest(): boolean {
    return this.#queues.warm.size <= this.#reserve || !this.#pace.mayGive;
  }

  #serve(): void {
    for (const sandbox of this.#queues.warm) {
      const waiter = this.queue.next({ modest: this.#onlyModest });
      if (!waiter) return;
      this.#give(sandbox, waiter.user);
      waiter.resolve(sandbox);
    }
  }

  #give(sandbox: Sandbox, user: string): void {
    sandbox.user = user;
    this.move(sandbox, 'warm', 'leased');
    if (this.queue.isGreedy(user)) this.#pace.noteGiven();
  }

  #start(): void {
    const { instance } = this.#options;
    const name = `fairlead-${instance.replaceAll(/[^a-zA-Z0-9]/g, '').slice(0, 8)}-${randomBytes(8).toString('hex')}`;
    const sandbox = makeSandbox(name);
    this.move(sandbox, undefined, 'starting');
    sandbox.started = this.#comeUp(sandbox);
  }

  async #comeUp(sandbox: Sandbox): Promise<void> {
    const { server } = this;
    const began = performance.now();
    try {
      const { running, mcp } = await this.#bringUp.start(sandbox.name, sandbox.abort.signal);
      const ms = performance.now() - began;
      this.#pace.noteStarted(ms);
      startSeconds.observe({ server }, ms / 1_000);
      starts.inc({ server, outcome: 'ok' });
      this.#makeWarm(sandbox, running, mcp);
    } catch (error) {
      this.#failed(sandbox, error);
    }
  }

  async #adopt(sandbox: Sandbox, found: FoundSandbox): Promise<void> {
    const { server } = this;
    try {
      const { running, mcp } = await this.#bringUp.adopt(found, sandbox.abort.signal);
      this.#makeWarm(sandbox, running, mcp);
    } catch (error) {
      const { log } = this.#options;
      if (!this.#closed) log.warn({ err: error, sandbox: found.id, server }, 'a warm sandbox could not be adopted');
      this.move(sandbox, 'starting', 'gone');
    }
  }

  async #reset(sandbox: Sandbox, used: RunningSandbox): Promise<void> {
    const { server } = this;
    try {
      const { running, mcp } = await this.#bringUp.reset(used, sandbox.abort.signal);
      resets.inc({ server, outcome: 'ok' });
      this.#options.onClean?.(sandbox.name);
      this.#makeWarm(sandbox, running, mcp);
    } catch (error) {
      resets.inc({ server, outcome: 'failed' });
      const { log } = this.#options;
      if (!this.#closed) log.warn({ err: error, sandbox: used.id, server }, 'a used sandbox is destroyed, not reset');
      await used.destroy().then(
        () => this.#options.onClean?.(sandbox.name),
        () => undefined, // BringUp has logged that it is left to the next reconcile
      );
      this.move(sandbox, 'starting', 'gone');
    }
  }

  #makeWarm(sandbox: Sandbox, running: RunningSandbox, mcp: WarmServer): void {
    sandbox.running = running;
    sandbox.mcp = mcp;
    sandbox.aliveAt = performance.now();
    // At the end of its output, not only at `exited`: Docker may take long to say why, and it could be leased meanwhile.
    running.stdout.once('end', () => void this.#noteExit(sandbox, running));
    void running.exited.then(() => this.#noteExit(sandbox, running));
    this.move(sandbox, 'starting', 'warm');
    this.#serve();
  }

  async #noteExit(sandbox: Sandbox, running: RunningSandbox): Promise<void> {
    if (sandbox.running === running) await this.noteDead(sandbox);
  }

  /** Waiters are refused only by the last start under way: another one may still succeed for them. So may the next one: see `keeps`. */
  #failed(sandbox: Sandbox, cause: unknown): void {
    const { log } = this.#options;
    const error = isFairleadError(cause)
      ? cause
      : new FairleadError('ERR_SANDBOX', `the sandbox did not start: ${(cause as Error).message}`, { cause });
    if (!this.#closed) {
      const { failures, backoffMs } = this.#pace.noteFailed(error);
      starts.inc({ server: this.server, outcome: error.code });
      log.warn(
        { err: error, server: this.server, failures, backoffMs: Math.round(backoffMs) },
        'a sandbox did not start',
      );
      const isLast = this.#queues.starting.size <= 1;
      if (isLast) this.queue.rejectUnless(this.#pace.keeps(error), withRetry(error, backoffMs));
    }
    this.move(sandbox, 'starting', 'gone');
  }

  async #replaceDead(sandbox: Sandbox, why: string): Promise<void> {
    lostWarm.inc({ server: this.server });
    this.#options.log.warn({ sandbox: sandbox.running?.id, server: this.server, why }, 'a warm sandbox is replaced');
    this.#drainQuietly(sandbox);
  }

  #drainQuietly(sandbox: Sandbox): void {
    this.drain(sandbox).catch((error: unknown) => {
      this.#options.log.warn({ err: error, sandbox: sandbox.running?.id }, 'a sandbox is left to the next reconcile');
    });
  }

  async #remove(sandbox: Sandbox): Promise<void> {
    sandbox.abort.abort(new FairleadError('ERR_DRAINING', 'no longer needed'));
    if (sandbox.state === 'starting') await sandbox.started;
    if (sandbox.state === 'gone') return; // its start has failed
    this.move(sandbox, sandbox.state, 'draining');
    sandbox.mcp?.detach();
    try {
      await (sandbox.running ?? sandbox.found)?.destroy();
      this.#options.onClean?.(sandbox.name);
    } finally {
      // Gone even when its removal failed: the next reconcile removes unknown containers.
      this.move(sandbox, 'draining', 'gone');
    }
  }
}

/** Leases, hibernates and ends the sandboxes of this instance, over pools, archives, adoption and orphans. Docker thread. */
import { onAbort } from '../../src/shared/abort.js';
import type { Config } from '../../src/shared/config.js';
import { FairleadError, isFairleadError } from '../../src/shared/errors.js';
import { stopping } from './driver/docker-errors.js';
import type { Logger } from '../../src/shared/log.js';
import { capabilitiesFor } from '../../src/shared/mcp-capabilities.js';
import { threadOfOwner } from '../../src/shared/threads/route.js';
import { Adoption } from './lease/adoption.js';
import type { Archives, Saved } from './archive/archives.js';
import { Files } from './files/files.js';
import { Packing } from './files/packing.js';
import { Checkpoints } from './archive/checkpoints.js';
import type { ContainerPool } from './pool/container-pool.js';
import type { FoundSandbox, SandboxDriver } from './driver/driver.js';
import { ContainerNames } from './lease/container-names.js';
import { ExecServers } from './lease/exec-servers.js';
import { mayHaveChanged, type LeaseRecord, type LeaseRecords } from './lease/lease-records.js';
import { leaseSeconds, leasesTotal } from './lease/lease-metrics.js';
import type { Losses } from './lease/losses.js';
import { Leases } from './lease/leases.js';
import type { Lease } from './lease/lease.js';
import { exportWorkspaces } from './archive/export.js';
import type { ExecRequest, LeaseRequest, LeaseResult, ReplaceRequest, SandboxInfo } from './contract/messages.js';
import { listSandboxes } from './sandbox-list.js';
import { Orphans } from './lease/orphans.js';
import { Pools } from './pool/pools.js';
import type { SandboxState } from './pool/sandbox.js';
import { StdioRelay } from './lease/stdio-relay.js';
import type { Offered, ToolCache } from './pool/tool-cache.js';
import type { SavedIndex } from './archive/saved-index.js';
import { Workspaces, type Owner } from './archive/workspaces.js';

export interface SandboxManagerOptions {
  config: Config;
  instance: string;
  driver: SandboxDriver;
  archives: Archives;
  log: Logger;
  /** Absent: the tools of an image are asked of its first sandbox. */
  toolCache?: ToolCache | undefined;
  /** Absent: no sandbox outlives this thread. */
  records?: LeaseRecords | undefined;
  /** Absent: a save that is missing at its restore is not noticed. */
  saved?: SavedIndex | undefined;
  /** Absent: nobody is told of lost files. */
  losses?: Losses | undefined;
  /** Sandboxes are started on demand only, until `fillPools`. */
  fillLater?: boolean | undefined;
}

export class SandboxManager {
  readonly #options: SandboxManagerOptions;
  readonly #pools: Pools;
  readonly #workspaces: Workspaces;
  readonly #orphans: Orphans;
  readonly #adoption: Adoption | undefined;
  readonly #execs: ExecServers;
  readonly #leases: Leases;
  readonly #names = new ContainerNames();
  readonly #checkpoints: Checkpoints;
  readonly files: Files;
  readonly packing: Packing;
  /** Why this thread cannot lease at all. */
  #failure: unknown;
  #closing: Promise<number> | undefined;

  constructor(options: SandboxManagerOptions) {
    this.#options = options;
    const { config, driver, records, losses, archives, log } = options;
    this.#execs = new ExecServers(config, log, (lease) => this.#leases.noteChange(lease));
    this.#pools = new Pools({
      ...options,
      onClean: (name) => records?.remove(name),
      onTick: () => void this.#names.renameAll(),
    });
    const pools = this.#pools;
    const workspaces = new Workspaces(archives, options.saved);
    this.#workspaces = workspaces;
    this.#leases = new Leases({
      workspaces,
      records,
      losses,
      log,
      onEnd: (lease, reason) => this.#noteEnd(lease, reason),
      settled: (lease, timeoutMs) => this.#orphans.settled(lease, timeoutMs),
    });
    this.files = new Files({ leases: this.#leases, workspaces, archives });
    this.packing = new Packing({ files: this.files, archives });
    this.#checkpoints = new Checkpoints({
      config: config.sandbox.checkpoint,
      workspaces,
      archives,
      leases: () => this.#leases.all().filter(({ dead }) => !dead),
      log,
    });
    this.#orphans = new Orphans({
      hibernateAfterMs: config.sandbox.hibernateAfterMs,
      handshakeTimeoutMs: config.sandbox.startTimeoutMs,
      capabilities: (server) => capabilitiesFor(config.mcpServers, server),
      log,
      nextGeneration: (lease) => {
        lease.generation++;
        this.#leases.record(lease, false);
      },
      hibernate: (lease) => this.#leases.hibernate(lease),
      giveUp: (lease, reason) => this.#leases.saveAndEnd(lease, reason),
      died: (lease, reason) => this.#leases.died(lease, reason),
      destroy: (lease) => this.#leases.endQuietly(lease, 'its session has a newer sandbox'),
    });
    const keep = (found: FoundSandbox, record: LeaseRecord, pool: ContainerPool): void => {
      const { session, server, image, generation, leasedAt = 0 } = record;
      const sandbox = pool.adoptLeased(found);
      sandbox.startedAt = record.startedAt;
      const lease: Lease = { id: found.id, session, server, image, sandbox, pool, leasedAt, generation, used: true };
      if (mayHaveChanged(record)) {
        lease.changedAt = Date.now();
        lease.overdue = true;
        if (record.changedBy) lease.changedBy = new Set(record.changedBy);
      }
      this.#leases.add(lease);
      this.#orphans.add(lease);
    };
    this.#adoption =
      records &&
      driver.adopting &&
      new Adoption({ driver: driver.adopting, records, pools, workspaces, losses, log, keep });
  }

  /** Adopts the sandboxes of an earlier run, and fills the warm pools from then on. */
  open(): void {
    this.#options.driver.watch({
      onDead: (name) => {
        const found = this.#pools.find(name);
        if (found) void found.pool.noteDead(found.sandbox);
      },
      onBack: (again) => {
        for (const pool of this.#pools.distinct()) pool.noteBack(again);
      },
    });
    this.#checkpoints.start();
    try {
      this.#options.losses?.load();
      this.#adoption?.start();
    } catch (error) {
      // Without the records nobody knows whose a sandbox is, or who lost files, so none is touched.
      this.#failure = error;
      this.#options.log.error({ err: error }, 'no sandbox can be leased');
      return;
    }
    if (!this.#adoption) return this.#pools.open();
    // Adopted sandboxes count: a pool that opens earlier would start as many again.
    void this.#adoption.firstLook.then(() => this.#pools.open());
  }

  /** The images are those of the configuration from now on. */
  applyConfig(): void {
    this.#pools.applyConfig();
  }

  fillPools(): void {
    this.#pools.fillPools();
  }

  /** Resolves once every sandbox of an earlier run is adopted or being removed; never if their records cannot be read. */
  async adopted(): Promise<void> {
    if (this.#failure !== undefined) return new Promise(() => undefined);
    await this.#adoption?.done;
  }

  isKnown(name: string): boolean {
    return this.#pools.find(name) !== undefined || (this.#adoption?.isPending(name) ?? false);
  }

  count(state: SandboxState): number {
    return this.#pools.count(state);
  }

  list(): Promise<SandboxInfo[]> {
    return listSandboxes({ ...this.#options, pools: this.#pools.distinct(), leases: this.#leases.all() });
  }

  /** The sessions that have a sandbox or an archive. */
  async sessions(): Promise<string[]> {
    const held = this.#leases.all().map(({ session }) => session);
    return [...new Set([...held, ...(await this.#workspaces.sessions())])];
  }

  /** What a server's image offers. Starts a sandbox of an image that is not known yet. ERR_SANDBOX, ERR_UNAVAILABLE. */
  async readTools(server: string): Promise<Offered> {
    await this.#ready(); // the boot lists tools, so an unusable data folder fails there
    const signal = AbortSignal.timeout(this.#options.config.sandbox.leaseTimeoutMs * 2);
    return this.#poolOf(server).readTools(signal);
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, ERR_DRAINING; ERR_CANCELLED when the port closes before the sandbox is ready. */
  async lease({ session, user, server, image, port }: LeaseRequest): Promise<LeaseResult> {
    // First, since a port reports its closing only to a listener.
    let leased: Lease | undefined;
    const relay = new StdioRelay(port, {
      onChanges: (running, by) => leased && this.#leases.noteChange(leased, running, by),
    });
    const began = performance.now();
    const owner = { session, server, image };
    try {
      const pool = this.#poolOf(server, image);
      await this.#ready();
      await this.#leases.left(owner);
      const lease =
        (await this.#takeOrphan(owner, pool, relay.closed)) ?? (await this.#takeFresh(owner, pool, relay.closed, user));
      const handshake = this.#handOver(lease, relay);
      leased = lease;
      const waitedMs = performance.now() - began;
      leasesTotal.inc({ outcome: 'ok' });
      leaseSeconds.observe(waitedMs / 1_000);
      const { id, generation, restored } = lease;
      delete lease.restored;
      return { sandbox: id, handshake, generation, waitedMs, ...(restored && { restored }) };
    } catch (error) {
      leasesTotal.inc({ outcome: isFairleadError(error) ? error.code : 'ERR_INTERNAL' });
      relay.end(null, 'the sandbox did not start');
      throw this.#closing ? stopping(error) : error;
    }
  }

  /** Starts a `command` server in a leased sandbox. Errors as `ExecServers.start`. */
  exec(request: ExecRequest): Promise<void> {
    return this.#execs.start(this.#leases.get(request.sandbox), request);
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE: the workspace is not saved and the sandbox stays leased. */
  async hibernate(id: string): Promise<Saved> {
    const lease = this.#leases.get(id);
    if (!lease) throw new FairleadError('ERR_SANDBOX', `there is no sandbox ${id}`);
    return this.#leases.hibernate(lease);
  }

  /** Drops a save of this sandbox that is under way: its session wants it. */
  keep(id: string): void {
    this.#leases.get(id)?.saving?.abort(new FairleadError('ERR_CANCELLED', 'its session wants it'));
  }

  /** Cuts off the sandboxes whose output this agent thread does not take. Returns how many. */
  cutLoud(thread: number, threads: number): number {
    return this.#leases.cutLoud((session) => threadOfOwner(session, threads) === thread);
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE: it cannot be saved and stays. */
  async replace({ sandbox, reason, discard }: ReplaceRequest): Promise<{ saved: boolean }> {
    const lease = this.#leases.get(sandbox);
    return { saved: lease !== undefined && (await this.#leases.replace(lease, reason, discard)) };
  }

  /** ERR_UNAVAILABLE when it cannot be removed now; the next reconcile removes it. */
  async release(id: string): Promise<void> {
    const lease = this.#leases.withEnding().find((held) => held.id === id);
    if (lease) await this.#leases.end(lease, 'released');
  }

  /** Writes the session's workspaces as tars. */
  exportTo(folder: string, session: string): ReturnType<typeof exportWorkspaces> {
    const [workspaces, leases] = [this.#workspaces, this.#leases.all()];
    return exportWorkspaces({ ...this.#options, session, folder, workspaces, leases });
  }

  /** The session has ended: removes its sandboxes and archives. */
  async releaseSession(session: string): Promise<number> {
    const held = this.#leases.withEnding().filter((lease) => lease.session === session);
    const results = await Promise.allSettled(held.map((lease) => this.#leases.end(lease, 'its session has ended')));
    await this.#workspaces.forget(session);
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  /** Saves leased sandboxes, removes all, leases none afterwards. Resolves with how many were removed. Idempotent. */
  close(): Promise<number> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<number> {
    this.#names.clear();
    this.#checkpoints.close();
    this.#pools.close(stopping());
    await this.#adoption?.stop();
    this.#orphans.close();
    this.#leases.close();
    const leased = this.#leases.all();
    const waiting = new Set(leased.map(({ sandbox }) => sandbox));
    const held = this.#pools.distinct().flatMap((pool) => [...pool.all()].map((sandbox) => ({ pool, sandbox })));
    const removals = held
      .filter(({ sandbox }) => !waiting.has(sandbox))
      .map(({ pool, sandbox }) => pool.drain(sandbox));
    const results = await Promise.allSettled([
      ...removals,
      ...leased.map((lease) => this.#leases.saveAtTheStop(lease)),
    ]);
    await this.#adoption?.ended();
    await this.#options.losses?.close();
    await this.#options.driver.close();
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  /** The session's own sandbox, if it runs on since its agent thread or an earlier run died. */
  async #takeOrphan(owner: Owner, pool: ContainerPool, signal: AbortSignal): Promise<Lease | undefined> {
    const { leaseTimeoutMs } = this.#options.config.sandbox;
    await this.#adoption?.settled(owner, signal, leaseTimeoutMs);
    const orphan = await this.#orphans.take(owner, signal, leaseTimeoutMs);
    if (!orphan || orphan.pool === pool) return orphan;
    await this.#leases.saveAndEnd(orphan, 'its server has been changed in the configuration');
    return undefined;
  }

  async #takeFresh(owner: Owner, pool: ContainerPool, signal: AbortSignal, user?: string): Promise<Lease> {
    await this.#workspaces.settled(owner);
    if (this.#workspaces.takeMissing(owner)) await this.#leases.missingSave(owner);
    // First: the next result that the session gets from this server is that of an empty, or older, workspace.
    await this.#options.losses?.settled(owner, signal, this.#options.config.sandbox.leaseTimeoutMs);
    const { sandbox, pool: from } = await this.#pools.take(pool, owner, signal, user);
    const { running } = sandbox;
    if (!running) throw new FairleadError('ERR_INTERNAL', `the sandbox ${sandbox.name} is not running`);
    const used = this.#workspaces.has(owner);
    const lease: Lease = { id: running.id, ...owner, sandbox, pool: from, leasedAt: Date.now(), generation: 0, used };
    try {
      this.#leases.record(lease, lease.used); // first: after a crash, no other session may get this sandbox
    } catch (error) {
      from.putBack(sandbox);
      throw error;
    }
    if (!lease.used) return lease;
    try {
      const restored = await this.#workspaces.restore(owner, running, signal);
      this.#leases.record(lease, false); // from now on the sandbox counts, not the archive
      return restored ? { ...lease, restored } : lease;
    } catch (error) {
      if (!this.#workspaces.has(owner)) await this.#leases.lostSave(lease, error);
      this.#options.records?.end(sandbox.name);
      from.drain(sandbox).catch((failure: unknown) => this.#leases.leftOver(lease, failure));
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Without an await: at every moment a sandbox belongs to the pool, to a lease or to the orphans. */
  #handOver(lease: Lease, relay: StdioRelay): LeaseResult['handshake'] {
    const { sandbox, pool, session, server } = lease;
    const { running, mcp } = sandbox;
    if (this.#closing) throw stopping();
    if (!running || !mcp) throw new FairleadError('ERR_INTERNAL', `the sandbox ${sandbox.name} is not running`);
    if (relay.closed.aborted && !lease.used) {
      this.#options.records?.remove(sandbox.name);
      pool.putBack(sandbox); // it is unused
    }
    if (relay.closed.aborted && lease.used) {
      this.#leases.add(lease);
      this.#orphans.add(lease); // it holds the session's files
    }
    relay.closed.throwIfAborted();
    lease.used = true;
    lease.relay = relay;
    this.#leases.add(lease);
    onAbort(relay.closed, () => void this.#onClosed(lease, relay));
    mcp.detach();
    relay.attach(running);
    this.#names.add(lease);
    this.#options.log.info({ session, server, sandbox: lease.id }, 'sandbox leased');
    return mcp.handshake;
  }

  /**
   * A sandbox survives the death of its agent thread, and a daemon that starts again (Docker's `live-restore`), as an orphan. One
   * whose stream cannot go on for another reason is saved.
   */
  async #onClosed(lease: Lease, relay: StdioRelay): Promise<void> {
    if (!this.#leases.has(lease)) return; // it has ended
    const { exit, released, abandoned } = relay;
    if (released) return this.#leases.endQuietly(lease, 'closed');
    if (exit && !exit.mayRun) return this.#leases.died(lease, exit.reason);
    if (!exit && !abandoned) return this.#leases.saveAndEnd(lease, relay.cut || 'its stream was cut');
    delete lease.relay;
    if ((lease.changing ?? 0) > 0) this.#leases.noteChange(lease, 0); // and nobody will tell that it has ended
    if (exit) lease.sandbox.cutOff = true;
    if (!this.#closing) this.#orphans.add(lease); // `close` saves it already
  }

  #noteEnd(lease: Lease, reason: string): void {
    lease.relay?.end(null, reason);
    this.#execs.end(lease, reason);
    this.#orphans.forget(lease);
    this.#names.forget(lease);
    this.#workspaces.cutCheckpoint(lease);
    this.#pools.noteRelease();
  }

  async #ready(): Promise<void> {
    await this.#options.archives.load();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #poolOf(server: string, image?: string): ContainerPool {
    if (this.#closing) throw stopping();
    return this.#pools.get(server, image);
  }
}

/**
 * Saves the workspaces of leased sandboxes in the background, so that the death of a container or of the host costs minutes
 * of work. Whatever else needs the workspace or the archive cuts a checkpoint. Docker thread.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxConfig } from '../../../src/shared/config-sandbox.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter, gauge } from '../../../src/shared/metrics.js';
import type { RunningSandbox } from '../driver/driver.js';
import type { Archives } from './archives.js';
import { Pace } from './pace.js';
import type { Owner, Workspaces } from './workspaces.js';

const LOOKS = 4;
const MIN_LOOK_MS = 50;
const MAX_LOOK_MS = 5_000;
/** A sandbox in which no call has changed files is looked at so much more rarely: it may have programs that run on. */
const QUIET_TIMES = 5;
/** One that was cut or has failed is due again after this part of `everyMs`, and twice the time after each further failure. */
const AGAIN_PART = 8;
/** Not more rarely than at half of its pace: `everyMs` is a promise. */
const MAX_FAILURES = 4;
/** After a checkpoint its place stays empty as long as the checkpoint took, but not longer than this. */
const MAX_REST_MS = 5_000;
const MIB = 1_048_576;

const checkpoints = counter('fairlead_sandbox_checkpoints_total', 'Workspaces looked at in the background', [
  'outcome',
]);

/** What a checkpoint needs of a lease. */
interface Held extends Owner {
  readonly id: string;
  readonly sandbox: { running?: RunningSandbox };
  /** When files may last have changed; absent: not since the newest save. */
  changedAt?: number;
  /** Calls that may change files and run now. */
  changing?: number;
  /** It came with changed files from an earlier run: nobody knows how long these have waited. */
  overdue?: true;
}

const age = gauge('fairlead_sandbox_checkpoint_age_seconds', 'Longest time that changed files wait for a checkpoint');

/** Times are monotonic. */
interface State {
  /** When the newest look began that was not cut and has not failed, or the lease was first seen. */
  at: number;
  /** When the newest try began: those who have waited longest for theirs are first in line. */
  triedAt: number;
  /** No try before. */
  notBefore: number;
  /** When changes were first seen that no save has. */
  changedAt?: number;
  signature: string;
  /** In a row. */
  failures: number;
}

export interface CheckpointsOptions {
  config: SandboxConfig['checkpoint'];
  workspaces: Workspaces;
  archives: Pick<Archives, 'freeBytes' | 'limits'>;
  /** Those that have not ended. */
  leases: () => Held[];
  log: Logger;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  readonly #states = new Map<Held, State>();
  readonly #running = new Set<Held>();
  readonly #closing = new AbortController();
  readonly #pace: Pace;
  #timer: NodeJS.Timeout | undefined;
  #isFull = false;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    this.#pace = new Pace(options.config.maxBytesPerSecond);
  }

  start(): void {
    const { enabled, everyMs } = this.#options.config;
    if (!enabled) return;
    const lookMs = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, everyMs / LOOKS));
    this.#timer = setInterval(() => this.#look(), lookMs);
  }

  /** Starts no more. Those under way are cut by what comes next: the save at the stop. */
  close(): void {
    clearInterval(this.#timer);
    age.set(0);
    this.#closing.abort();
  }

  #look(): void {
    const { leases, config } = this.#options;
    const now = performance.now();
    const held = new Set(leases());
    for (const lease of this.#states.keys()) if (!held.has(lease)) this.#states.delete(lease);
    const due: [Held, State][] = [];
    for (const lease of held) {
      const state = this.#states.get(lease) ?? this.#firstState(lease, now);
      this.#states.set(lease, state);
      if (!isChanged(lease)) delete state.changedAt;
      else state.changedAt ??= now;
      if (!this.#running.has(lease) && lease.sandbox.running && this.#isDue(lease, state, now))
        due.push([lease, state]);
    }
    age.set(this.#oldestMs() / 1_000);
    due.sort(([, a], [, b]) => a.triedAt - b.triedAt);
    for (const [lease, state] of due.slice(0, config.maxConcurrent - this.#running.size)) void this.#run(lease, state);
  }

  #firstState(lease: Held, now: number): State {
    const at = lease.overdue ? now - this.#options.config.everyMs : now;
    return { at, triedAt: at, notBefore: now, signature: 'none', failures: 0, ...(lease.overdue && { changedAt: at }) };
  }

  #isDue(lease: Held, state: State, now: number): boolean {
    const times = isChanged(lease) ? 1 : QUIET_TIMES;
    return now >= state.notBefore && now - state.at >= this.#options.config.everyMs * times;
  }

  async #run(lease: Held, state: State): Promise<void> {
    this.#running.add(lease);
    const began = performance.now();
    state.triedAt = began;
    try {
      const outcome = await this.#save(lease, state);
      checkpoints.inc({ outcome });
      state.failures = 0;
      if (outcome === 'cut' || outcome === 'disk_full') this.#putOff(state);
      else this.#noteDone(lease, state, began);
    } catch (error) {
      checkpoints.inc({ outcome: 'failed' });
      this.#putOff(state);
      state.failures = Math.min(MAX_FAILURES, state.failures + 1);
      const { log } = this.#options;
      log.warn(
        { err: error, session: lease.session, sandbox: lease.id },
        'a checkpoint failed: the one before it stays',
      );
    }
    const restMs = Math.min(MAX_REST_MS, performance.now() - began);
    await delay(restMs, undefined, { signal: this.#closing.signal }).catch(() => undefined); // closing
    this.#running.delete(lease);
  }

  #noteDone(lease: Held, state: State, began: number): void {
    state.at = began;
    if (isChanged(lease)) state.changedAt = began;
    else delete state.changedAt;
  }

  #putOff(state: State): void {
    state.notBefore = performance.now() + (this.#options.config.everyMs / AGAIN_PART) * 2 ** state.failures;
  }

  async #save(lease: Held, state: State): Promise<string> {
    const { config, workspaces, archives, log } = this.#options;
    const { session, server, sandbox, id } = lease;
    if (!sandbox.running) return 'cut';
    if (!(await this.#hasRoom())) return 'disk_full';
    const longestMs = (archives.limits.maxBytes / config.maxBytesPerSecond) * 1_000 * config.maxConcurrent;
    const saved = await workspaces.checkpoint(lease, sandbox.running, {
      signature: state.signature,
      pace: (bytes, signal) => this.#pace.take(bytes, signal),
      timeoutMs: archives.limits.timeoutMs + longestMs,
    });
    if (!saved) return 'cut';
    state.signature = saved.signature ?? 'none';
    if (saved.unchanged) return 'unchanged';
    log.debug({ session, server, sandbox: id, bytes: saved.bytes, files: saved.files }, 'checkpoint saved');
    return saved.files > 0 ? 'saved' : 'empty';
  }

  async #hasRoom(): Promise<boolean> {
    const { config, archives, log } = this.#options;
    const isFull = (await archives.freeBytes()) < config.minFreeDiskMb * MIB;
    if (isFull && !this.#isFull)
      log.error('the disk of the data folder is nearly full: no workspace gets a checkpoint');
    if (!isFull && this.#isFull) log.info('the disk of the data folder has room again for checkpoints');
    this.#isFull = isFull;
    return !isFull;
  }

  #oldestMs(): number {
    const now = performance.now();
    return Math.max(0, ...[...this.#states.values()].map(({ changedAt = now }) => now - changedAt));
  }
}

/** Since its newest save, by what the agent threads say of its calls. */
function isChanged({ changedAt, changing = 0 }: Held): boolean {
  return changedAt !== undefined || changing > 0;
}

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
/** A failing one is tried at half of its pace, not more rarely: `everyMs` is a promise. */
const MAX_FAILURES = 1;
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
}

const age = gauge('fairlead_sandbox_checkpoint_age_seconds', 'Longest time that changed files wait for a checkpoint');

interface State {
  /** Monotonic: when the last look began, or the lease was first seen. */
  at: number;
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
      const state = this.#states.get(lease) ?? { at: now, signature: 'none', failures: 0 };
      this.#states.set(lease, state);
      if (!this.#running.has(lease) && lease.sandbox.running && this.#isDue(lease, state, now))
        due.push([lease, state]);
    }
    age.set(this.#oldestMs() / 1_000);
    due.sort(([, a], [, b]) => a.at - b.at);
    for (const [lease, state] of due.slice(0, config.maxConcurrent - this.#running.size)) void this.#run(lease, state);
  }

  #isDue(lease: Held, state: State, now: number): boolean {
    const times = (isChanged(lease) ? 1 : QUIET_TIMES) * 2 ** state.failures;
    return now - state.at >= this.#options.config.everyMs * times;
  }

  async #run(lease: Held, state: State): Promise<void> {
    this.#running.add(lease);
    const began = performance.now();
    state.at = began;
    try {
      const outcome = await this.#save(lease, state);
      checkpoints.inc({ outcome });
      if (outcome !== 'cut') state.failures = 0;
    } catch (error) {
      checkpoints.inc({ outcome: 'failed' });
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
    let oldest = 0;
    for (const [lease, state] of this.#states) {
      if (isChanged(lease)) oldest = Math.max(oldest, now - state.at);
    }
    return oldest;
  }
}

/** Since its newest save, by what the agent threads say of its calls. */
function isChanged({ changedAt, changing = 0 }: Held): boolean {
  return changedAt !== undefined || changing > 0;
}

/**
 * The configuration that counts now. A reload reads the file again, and either all of it counts from then on, but for the keys that
 * need a restart, or nothing does. Main thread.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { audit, type AuditedWho } from '../shared/audit.js';
import { ConfigError, problemsAcross, type Config, type ConfigProblem } from '../shared/config.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import { liveView } from '../shared/live-view.js';
import type { Logger } from '../shared/log.js';
import { configDigest } from './config-digest.js';
import { lostAdmins, warningsOf } from './config-warnings.js';
import { diffConfigs, effectiveConfig } from './live-keys.js';

export interface ReloadReport {
  /** How many configurations have counted since the start; it grows with each change. */
  generation: number;
  /** What counts from now on, by section; an empty list: the section is one key. */
  changed: Record<string, string[]>;
  /** Keys whose change counts after a restart. */
  restart: string[];
  warnings: string[];
}

/** A part that keeps something of the configuration. */
export interface LivePart {
  name: string;
  /** Takes `next` and tells in words what did not go as it should. Never rejects: the configuration counts already. */
  apply(next: Config, before: Config): Promise<string[]> | string[] | void;
}

export interface LiveConfigOptions {
  /** Throws ConfigError with every problem. */
  read: () => Promise<Config>;
  /** What is wrong with a configuration on this server as it runs. */
  refuse?: (next: Config) => ConfigProblem[];
  log: Logger;
}

export class LiveConfig {
  /** Shows what counts now. Who keeps a section of it keeps an old one. */
  readonly view: Config;
  readonly #options: LiveConfigOptions;
  readonly #parts: LivePart[] = [];
  #current: Config;
  #generation = 1;
  #running: Promise<unknown> = Promise.resolve();
  #waiting: Promise<ReloadReport> | undefined;
  #open = false;

  constructor(first: Config, options: LiveConfigOptions) {
    this.#current = first;
    this.#options = options;
    this.view = liveView<Config>(keysOf(first), () => this.#current);
  }

  get current(): Config {
    return this.#current;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Parts apply a change in the order in which they were added. */
  add(part: LivePart): void {
    this.#parts.push(part);
  }

  /** The start is over: from now on it may be reloaded. */
  open(): void {
    this.#open = true;
  }

  /** A change that is under way ends; no other begins. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#running;
  }

  /**
   * Resolves when all parts have what was in the file at this call or later. Who calls while another reload waits shares that one. ConfigError:
   * nothing has changed. ERR_UNAVAILABLE: the server starts or stops.
   */
  reload(by: AuditedWho = {}): Promise<ReloadReport> {
    this.#waiting ??= this.#after(this.#running, by);
    return this.#waiting;
  }

  async #after(before: Promise<unknown>, by: AuditedWho): Promise<ReloadReport> {
    await before;
    this.#waiting = undefined;
    const reloading = this.#reload(by);
    this.#running = reloading.catch(() => undefined);
    return reloading;
  }

  async #reload(by: AuditedWho): Promise<ReloadReport> {
    const { log } = this.#options;
    try {
      if (!this.#open) throw notOpen();
      const report = await this.#take(by);
      log.info(report, 'the configuration was read again');
      for (const warning of report.warnings) log.warn(warning);
      for (const key of report.restart) log.warn(`${key} needs a restart`);
      return report;
    } catch (error) {
      const { code, message } = errorToData(error);
      const problems = error instanceof ConfigError ? error.problems.length : undefined;
      audit({ what: 'config_loaded', ...by, outcome: 'refused', about: { code, problems } });
      log.error({ code, err: message }, 'the configuration was not read again: the one before counts');
      throw error;
    }
  }

  async #take(by: AuditedWho): Promise<ReloadReport> {
    const read = await this.#options.read();
    const before = this.#current;
    // Of a large file each of these steps takes milliseconds: others may do something between two of them.
    await turn();
    const { live, restart } = diffConfigs(before, read);
    await turn();
    const next = effectiveConfig(before, read);
    await turn();
    const problems = [...mixedProblems(next, restart), ...(this.#options.refuse?.(next) ?? [])];
    if (problems.length > 0) throw new ConfigError(problems);
    this.#current = next;
    const warnings = [...warningsOf(next), ...lostAdmins(before, next)];
    if (live.length > 0) {
      this.#generation++;
      for (const part of this.#parts) warnings.push(...((await part.apply(next, before)) ?? []));
    }
    const changed = bySection(live);
    await turn();
    audit({
      what: 'config_loaded',
      ...by,
      about: { ...configDigest(next), generation: this.#generation, changed: live.slice(0, MAX_TOLD), restart },
    });
    return { generation: this.#generation, changed, restart, warnings };
  }
}

/** Of an audit entry, whose length is bounded. */
const MAX_TOLD = 100;

function notOpen(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the server starts or stops: its configuration stays as it is', {
    retryAfterMs: 5_000,
  });
}

/** The new keys beside those of before, which a restart alone replaces. */
function mixedProblems(next: Config, restart: readonly string[]): ConfigProblem[] {
  if (restart.length === 0) return []; // it is what was checked when it was read
  const until = `; until a restart ${restart.join(', ')} ${restart.length === 1 ? 'is' : 'are'} as before`;
  return problemsAcross(next).map(({ path, message }) => ({ path, message: message + until }));
}

function bySection(keys: readonly string[]): Record<string, string[]> {
  const sections: Record<string, string[]> = {};
  for (const key of keys) {
    const dot = key.indexOf('.');
    const [section, rest] = dot < 0 ? [key, ''] : [key.slice(0, dot), key.slice(dot + 1)];
    (sections[section] ??= []).push(...(rest === '' ? [] : [rest]));
  }
  return sections;
}

function keysOf(first: Config): (keyof Config)[] {
  return [...new Set([...(Object.keys(first) as (keyof Config)[]), 'source' as const])];
}

/**
 * Sends the audit log elsewhere as well, behind its writer: the files are the queue, so a sink that is away costs no memory and
 * holds nobody, and goes on where it was. An entry may come twice after a crash; its number tells. Main thread.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../shared/backoff.js';
import type { Logger } from '../shared/log.js';
import { LogFollower, type FollowedEntry } from './follower.js';

const RETRY = { firstMs: 500, maxMs: 30_000 };

export interface SinkTarget {
  /** Resolves when the target has taken them. */
  send(entries: readonly FollowedEntry[], signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface AuditSinkOptions {
  name: string;
  folder: string;
  /** Has the number of the last entry that was taken. */
  cursor: string;
  /** The entry after which a sink without a cursor begins. */
  newest: () => Promise<number>;
  batch: number;
  target: SinkTarget;
  log: Logger;
}

export class AuditForwarder {
  readonly #options: AuditSinkOptions;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #waitingSince: number | undefined;
  /** Entries were written since the last look. */
  #news = false;

  constructor(options: AuditSinkOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Entries were written. */
  wake(): void {
    this.#waitingSince ??= Date.now();
    this.#news = true;
    this.#wake?.();
  }

  /** How long the oldest entry waits, ms. */
  get behindMs(): number {
    return this.#waitingSince === undefined ? 0 : Date.now() - this.#waitingSince;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
    this.#options.target.close();
  }

  async #run(): Promise<void> {
    const { folder, batch, target, log, name, cursor, newest } = this.#options;
    const { signal } = this.#stop;
    const follower = new LogFollower(folder, await readCursor(cursor, newest));
    let failures = 0;
    let unsent: FollowedEntry[] = [];
    while (!signal.aborted) {
      try {
        if (unsent.length === 0) {
          this.#news = false;
          unsent = await follower.read(batch);
        }
        if (unsent.length === 0) {
          if (this.#news || signal.aborted) continue; // nobody wakes it after its close
          this.#waitingSince = undefined;
          await new Promise<void>((resolve) => (this.#wake = resolve));
          continue;
        }
        await target.send(unsent, signal);
        await writeFile(cursor, `${unsent.at(-1)!.entry.n}\n`, { mode: 0o600 });
        unsent = [];
        if (failures > 0) log.info({ sink: name }, 'audit log: it is sent again');
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (++failures === 1) log.warn({ sink: name, err: (error as Error).message }, 'audit log: it cannot be sent');
        await delay(backoffMs(failures, RETRY), undefined, { signal }).catch(() => undefined); // it is closing
      }
    }
  }
}

async function readCursor(file: string, newest: () => Promise<number>): Promise<number> {
  try {
    const text = await readFile(file, 'utf8');
    return /^\d{1,12}\n$/.test(text) ? Number(text) : await newest();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return newest();
    throw error;
  }
}

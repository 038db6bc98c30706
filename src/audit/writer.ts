/**
 * The only writer of the audit log: chains entries, appends them, and sees to it that they reach the disk. While they cannot be
 * written they wait, bounded, and the gate refuses work where the configuration says so. Main thread.
 */
import { mkdir } from 'node:fs/promises';
import { atMost, pending } from '../shared/abort.js';
import { unauditedError, type AuditEntry, type AuditGate } from '../shared/audit.js';
import { backoffMs } from '../shared/backoff.js';
import type { AuditConfig } from '../shared/config-audit.js';
import type { Logger } from '../shared/log.js';
import { EMPTY, endAfter, nextLine, type ChainEnd } from './chain.js';
import { findEnd, type LogEnd } from './log-end.js';
import { beginHead, LogFile, TornFile, type LogPlace } from './log-file.js';
import { findOldFiles, removeFiles } from './old-files.js';
import { AuditQueue, type Caller } from './queue.js';

/** Entries of this time are written together. */
const GATHER_MS = 10;
const SYNC_MS = 1_000;
const BATCH_CHARS = 1_048_576;
const RETRY = { firstMs: 250, maxMs: 2_000, jitter: 0 };
/** How long the stop waits for a disk that does not take the last entries. */
const CLOSE_MS = 3_000;

export interface AuditWriterOptions {
  place: LogPlace;
  config: Pick<AuditConfig, 'sync' | 'onFailure' | 'maxFileBytes' | 'keepDays'>;
  gate: Pick<AuditGate, 'set'>;
  log: Logger;
  /** Makes an entry of our own; see `audit` for its fields. */
  entry: (entry: AuditEntry) => string;
  /** Entries were written. */
  onWritten?: (end: ChainEnd) => void;
  /** UTC, as YYYY-MM-DD. */
  today?: () => string;
  queue?: AuditQueue;
}

export class AuditWriter {
  readonly #options: AuditWriterOptions;
  readonly #queue: AuditQueue;
  readonly #today: () => string;
  #file: LogFile | undefined;
  /** Unknown until the log was opened once. */
  #end: ChainEnd | undefined;
  #synced = EMPTY;
  #syncedAt = 0;
  #checkedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #pass: Promise<void> | undefined;
  #failures = 0;
  #closing = false;
  readonly #opened = pending<number>();
  #written = 0;

  /** The log is opened in the background: where that fails it is tried again, as every write is. */
  constructor(options: AuditWriterOptions) {
    this.#options = options;
    this.#queue = options.queue ?? new AuditQueue();
    this.#today = options.today ?? (() => new Date().toISOString().slice(0, 10));
  }

  /** Since the start. */
  get counts(): { written: number; missing: number; waiting: number } {
    return { written: this.#written, missing: this.#queue.missing, waiting: this.#queue.length };
  }

  get end(): ChainEnd {
    return this.#end ?? EMPTY;
  }

  /** The newest entry that was there before this writer, once the log is open. */
  opened(): Promise<number> {
    return this.#opened.promise;
  }

  post(entry: string): void {
    this.#queue.push(entry);
    this.#schedule(GATHER_MS);
  }

  /** See `audited`. */
  stored(entry: string): Promise<void> {
    const { sync, onFailure } = this.#options.config;
    if (sync === 'second') {
      this.post(entry);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const isKept = this.#queue.push(entry, { resolve, reject });
      if (!isKept && onFailure === 'refuse') return reject(unauditedError());
      if (!isKept || (this.#failures > 0 && onFailure === 'continue')) resolve();
      this.#schedule(0);
    });
  }

  /** Resolves when all entries so far are on the disk, or cannot be written now. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#pass;
    await this.#run(true);
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (!(await atMost(CLOSE_MS, this.flush())) || this.#queue.length > 0) {
      this.#options.log.error({ entries: this.#queue.length }, 'audit log: the last entries are not written');
    }
    clearTimeout(this.#timer);
    await this.#file?.close();
    this.#file = undefined;
  }

  #schedule(ms: number): void {
    if (this.#pass || this.#closing) return;
    const waitMs = this.#failures > 0 ? backoffMs(this.#failures, RETRY) : ms;
    const dueAt = performance.now() + waitMs;
    if (this.#timer && this.#dueAt <= dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run(false);
    }, waitMs);
  }

  /** One pass at a time: all that waits now. Never rejects. */
  #run(sync: boolean): Promise<void> {
    this.#pass ??= this.#write(sync)
      .then(
        () => this.#works(),
        (error: unknown) => this.#fails(error),
      )
      .finally(() => {
        this.#pass = undefined;
        if (this.#queue.length > 0 || this.#failures > 0) this.#schedule(GATHER_MS);
        else if (this.end.n > this.#synced.n) this.#schedule(SYNC_MS);
      });
    return this.#pass;
  }

  async #write(sync: boolean): Promise<void> {
    const { config } = this.#options;
    do {
      const file = (this.#file ??= await this.#open());
      await this.#rotate(file);
      if (!this.#file) continue; // it is not as it was written
      await this.#append(this.#file);
      if (config.sync === 'each' || performance.now() - this.#syncedAt >= SYNC_MS) await this.#sync();
    } while (this.#queue.length > 0);
    if (sync) await this.#sync();
  }

  async #append(file: LogFile): Promise<void> {
    const batch = this.#queue.peek(BATCH_CHARS);
    if (batch.length === 0) return;
    const lines: string[] = [];
    const ends = [this.end];
    for (const { entry, missing } of batch) {
      const end = ends.at(-1)!;
      const line = nextLine(end, missing ? this.#missingEntry(missing) : entry);
      lines.push(line);
      ends.push(endAfter(end.n + 1, line));
    }
    let written = 0;
    try {
      await file.append(lines);
      written = batch.length;
    } catch (error) {
      if (error instanceof TornFile) {
        written = error.whole;
        await this.#leave(file);
      }
      throw error;
    } finally {
      this.#wrote(ends[written]!, written);
      await this.#settle(batch.slice(0, written).flatMap(({ caller }) => caller ?? []));
    }
  }

  /** Whoever waits is told once the disk has the entry. */
  async #settle(callers: readonly Caller[]): Promise<void> {
    if (callers.length === 0) return;
    try {
      await this.#sync();
      for (const { resolve } of callers) resolve();
    } catch (error) {
      for (const { resolve, reject } of callers) {
        if (this.#options.config.onFailure === 'refuse') reject(unauditedError());
        else resolve();
      }
      throw error;
    }
  }

  #wrote(end: ChainEnd, count: number): void {
    this.#end = end;
    this.#written += count;
    this.#queue.shift(count);
    if (count > 0) this.#options.onWritten?.(end);
  }

  async #sync(): Promise<void> {
    const { end } = this;
    const file = this.#file;
    if (!file || end.n === this.#synced.n) return;
    try {
      await file.sync(end);
    } catch (error) {
      // Whether the disk has them is unknown, and a later sync would not say: the system reports a failed write once.
      const about = { from: this.#synced.n + 1, to: end.n, why: 'the disk did not confirm them' };
      this.#queue.pushFirst(this.#options.entry({ what: 'audit_missing', outcome: 'failed', about }));
      this.#synced = end;
      await this.#leave(file);
      throw error;
    }
    this.#synced = end;
    this.#syncedAt = performance.now();
    if (this.#syncedAt - this.#checkedAt < SYNC_MS) return;
    this.#checkedAt = this.#syncedAt;
    const why = await file.trouble();
    if (why === undefined) return;
    this.#options.log.error({ why }, 'audit log: a file is not as it was written; a new one begins');
    const about = { from: file.log.first, to: end.n, file: file.log.name, why };
    this.#queue.pushFirst(this.#options.entry({ what: 'audit_missing', outcome: 'failed', about }));
    await this.#leave(file);
  }

  /** The next entry goes to a new file. */
  async #leave(file: LogFile): Promise<void> {
    this.#file = undefined;
    await file.close();
  }

  async #rotate(file: LogFile): Promise<void> {
    const { maxFileBytes } = this.#options.config;
    if (this.#queue.length === 0 || file.size === 0) return;
    if (file.size < maxFileBytes && this.#today() <= file.log.day) return;
    await this.#sync();
    const next = await this.#begin();
    await this.#file?.close();
    this.#file = next;
    await this.#removeOld(next);
  }

  async #open(): Promise<LogFile> {
    const { place, log, entry } = this.#options;
    await mkdir(place.folder, { recursive: true, mode: 0o700 });
    if (this.#end) return this.#begin();
    const found = await findEnd(place);
    const { end, log: last, lost, unreadable, tornBytes } = found;
    if (end.n === 0) await beginHead(place);
    const file = last ? await LogFile.open(place, last) : await LogFile.begin(place, end.n + 1, this.#today());
    this.#end = end;
    this.#synced = end;
    this.#opened.resolve(end.n);
    const why = whyNotWhole(found);
    if (why !== undefined) {
      const about = { ...lost, ...(unreadable !== undefined && { file: unreadable }), why };
      log.error(about, 'audit log: it is not as it was written');
      this.#queue.pushFirst(entry({ what: 'audit_missing', outcome: 'failed', about }));
    }
    if (tornBytes > 0) log.warn({ tornBytes }, 'audit log: a line was being written when the server was killed');
    await this.#removeOld(file);
    return file;
  }

  async #begin(): Promise<LogFile> {
    const { place } = this.#options;
    await mkdir(place.folder, { recursive: true, mode: 0o700 });
    return LogFile.begin(place, this.end.n + 1, this.#today());
  }

  /** The entry comes first: files that are removed without it are missing. */
  async #removeOld(file: LogFile): Promise<void> {
    const { place, config, entry, log } = this.#options;
    const old = await findOldFiles(place.folder, config.keepDays, this.#today());
    if (!old) return;
    const { names, through, sha256 } = old;
    this.#file = file;
    this.#queue.pushFirst(entry({ what: 'audit_removed', about: { through, sha256, files: names.length } }));
    await this.#append(file);
    await this.#sync();
    await removeFiles(place.folder, names);
    log.info({ files: names.length, through }, 'audit log: old files are removed');
  }

  #works(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#options.gate.set('audit', undefined);
    this.#options.log.info('audit log: it is written again');
  }

  #fails(error: unknown): void {
    const { config, gate, log, entry } = this.#options;
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    this.#failures++;
    if (config.onFailure === 'refuse') {
      gate.set('audit', `the audit log cannot be written (${why})`);
      this.#queue.refuseCallers(unauditedError());
    } else this.#queue.releaseCallers();
    if (this.#failures > 1) return;
    // It is also what the next tries write: without it nothing would tell that there is room again.
    this.#queue.pushFirst(
      entry({ what: 'audit_failed', outcome: 'failed', about: { why, onFailure: config.onFailure } }),
    );
    log.error({ err: (error as Error).message, onFailure: config.onFailure }, 'audit log: it cannot be written');
  }

  #missingEntry({ count, since }: { count: number; since: number }): string {
    const about = {
      entries: count,
      since: new Date(since).toISOString(),
      why: 'there was no room for them while the log could not be written',
    };
    return this.#options.entry({ what: 'audit_missing', outcome: 'failed', about });
  }
}

function whyNotWhole({ lost, unreadable, unproven }: LogEnd): string | undefined {
  if (lost) return 'the newest entries were removed while no server ran';
  if (unreadable !== undefined) return `${unreadable} ends with lines that are no entries`;
  if (unproven) return `audit-head was ${unproven} at the start, so entries at the end may have been removed`;
  return undefined;
}

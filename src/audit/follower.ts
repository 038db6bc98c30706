/** Reads the log from an entry on, again and again, while it is written. Main thread and command line. */
import { join } from 'node:path';
import { parseLine, type ChainedEntry } from './chain.js';
import { listLogs } from './files.js';
import { readLines } from './lines.js';

export interface FollowedEntry {
  entry: ChainedEntry;
  /** As it stands in the file. */
  text: string;
}

export class LogFollower {
  readonly #folder: string;
  #after: number;
  #place: { name: string; offset: number } | undefined;

  /** From the entry after this one on. */
  constructor(folder: string, after: number) {
    this.#folder = folder;
    this.#after = after;
  }

  /** The number of the last entry that was read. */
  get after(): number {
    return this.#after;
  }

  /** What has come since the last call, `max` entries at most. An entry that was removed meanwhile is passed over. */
  async read(max: number): Promise<FollowedEntry[]> {
    const logs = await listLogs(this.#folder);
    const known = logs.findIndex(({ name }) => name === this.#place?.name);
    const found = known >= 0 ? known : logs.findLastIndex(({ first }) => first <= this.#after + 1);
    const read: FollowedEntry[] = [];
    for (const { name } of logs.slice(Math.max(0, found))) {
      if (this.#place?.name !== name) this.#place = { name, offset: 0 };
      const place = this.#place;
      for await (const { bytes, offset, isWhole } of readLines(join(this.#folder, name), place.offset)) {
        if (!isWhole) break; // it is being written
        place.offset = offset + bytes.length + 1;
        const text = bytes.toString();
        const entry = parseLine(text);
        if (!entry || entry.n <= this.#after) continue;
        this.#after = entry.n;
        read.push({ entry, text });
        if (read.length >= max) return read;
      }
    }
    return read;
  }
}

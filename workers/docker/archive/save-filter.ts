/** Judges and counts each entry of a tar on its way from a sandbox to its archive: what cannot come back is left out. Docker thread. */
import { createHash } from 'node:crypto';
import { setMode, TAR_BLOCK_BYTES, TarReader, yielding, type TarEntry } from './archive-tar.js';
import { bytesOf, hasHoles, HOLE_BLOCK_BYTES, HoleFinder, MAX_FILES_WITH_HOLES } from './holes.js';
import { MAX_PATH_BYTES, type SaveRecord } from './save-script.js';
import type { SkippedList } from './skipped-list.js';

/** Files and folders: more take too long to put back. */
const MAX_ENTRIES = 200_000;
/** Of an entry with long names, and of the tar's end. */
const MOST_HEADERS_BYTES = 16_384;
const SLASH = 0x2f;
/** Folders in each other. */
const MAX_DEPTH = 512;
/**
 * busybox tar makes all folders above an entry, each by its path, so the square of the depth is what unpacking costs: ten
 * seconds of a processor in all, which is twenty with the default `sandbox.cpus`, and a lease waits for it.
 */
const MAX_WORK = 4_000_000;
/** What is deeper than FLAT_DEPTH leaves the rest of it to what is not. */
const MAX_DEEP_WORK = 2_500_000;
const FLAT_DEPTH = 50;
/** Folders are unpacked a second time, for their times. */
const FOLDER_TIMES = 2;
/** Bound on the paths kept in memory: they come from a sandbox. */
const PATHS_KEPT_BYTES = 16_777_216;

export interface SaveLimits {
  /** Of the tar, in which holes are zeros. */
  maxBytes: number;
  /** Entries that would exceed maxBytes: left out, or the error that ends the save. */
  tooLarge: 'skip' | (() => Error);
  /** Paths to leave out, with the reason. */
  leaveOut: ReadonlyMap<string, string>;
}

interface Wasteful {
  path: string;
  /** Bytes of holes that will come back as zeros. */
  waste: number;
}

/** As one key: paths come with and without `/` at their end. */
export function pathKey(path: Buffer): string {
  return path.toString('latin1').replace(/(?<=.)\/+$/, '');
}

/** 48 bits: paths may be long, and there may be many. */
function hashOf(path: Buffer): number {
  return createHash('sha1').update(pathKey(path), 'latin1').digest().readUIntBE(0, 6);
}

function depthOf(path: Buffer): number {
  let depth = 0;
  for (let at = 0; at < path.length - 1; at++) if (path[at] === SLASH) depth++;
  return depth;
}

export class SaveFilter {
  /** Of what passed. */
  bytes = 0;
  /** Everything but folders, links included. */
  files = 0;
  /** Not counting the workspace itself. */
  folders = 0;
  /** Files that get back holes. */
  withHoles = 0;
  /** Bytes that the files take when they are put back. */
  allocated = 0;
  /** Files in whose holes zeros will be written. */
  readonly wasteful: Wasteful[] = [];
  readonly #limits: SaveLimits;
  readonly #skipped: SkippedList;
  /** The modes of before, by path. */
  #modes: ReadonlyMap<string, number> | undefined;
  readonly #records: readonly SaveRecord[];
  /** Hashes of the paths of files that passed: a link may name one that tar could not read. */
  readonly #written = new Set<number>();
  #work = 0;
  #wastefulBytes = 0;
  readonly #reader = new TarReader((...part) => this.#take(...part));
  #out: Buffer[] = [];
  #extensions: Buffer[] = [];
  /** Bytes of the entry's content and padding that are still to come. */
  #left = 0;
  #keeps = true;
  #file: { path: string; size: number; left: number; holes: HoleFinder } | undefined;

  /** `records` are complete when the first byte passes. */
  constructor(limits: SaveLimits, skipped: SkippedList, records: readonly SaveRecord[]) {
    this.#limits = limits;
    this.#skipped = skipped;
    this.#records = records;
  }

  /** Why it is not a complete tar; final when all of it has passed. */
  get problem(): string | undefined {
    return this.#reader.problem;
  }

  async *pass(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of yielding(source)) {
      this.#reader.write(chunk);
      const out = Buffer.concat(this.#out);
      this.#out = [];
      if (this.bytes > this.#limits.maxBytes && this.#limits.tooLarge !== 'skip') throw this.#limits.tooLarge();
      if (out.length > 0) yield out;
    }
  }

  #take(part: Buffer, entry: TarEntry | undefined, isExtension: boolean): void {
    if (isExtension) {
      this.#extensions.push(part);
    } else if (entry) {
      this.#takeHeader(part, entry);
    } else {
      this.#takeContent(part);
    }
  }

  #takeHeader(header: Buffer, entry: TarEntry): void {
    const reason = this.#judge(entry);
    this.#keeps = reason === undefined;
    this.#left = Math.ceil(entry.size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    if (reason !== undefined) {
      // Else all that is in a folder would be counted, not only the folder.
      if (depthOf(entry.path) <= MAX_DEPTH + 1) this.#skipped.add(entry.path, reason);
      this.#extensions = [];
      return;
    }
    const path = pathKey(entry.path);
    this.#modes ??= new Map(this.#records.map((record) => [pathKey(record.path), Number.parseInt(record.mode, 8)]));
    const mode = this.#modes.get(path);
    if (mode !== undefined) setMode(header, mode);
    for (const extension of this.#extensions) this.#push(extension);
    this.#extensions = [];
    this.#push(header);
    if (!entry.isFolder) this.#written.add(hashOf(entry.path));
    if (!entry.isRoot) this[entry.isFolder ? 'folders' : 'files']++;
    const { size } = entry;
    this.#file = entry.isFile && size > 0 ? { path, size, left: size, holes: new HoleFinder() } : undefined;
  }

  #takeContent(part: Buffer): void {
    const isContent = this.#left > 0;
    this.#left -= isContent ? part.length : 0;
    if (isContent && !this.#keeps) return;
    const file = this.#file;
    if (file && isContent) {
      file.holes.write(part.subarray(0, file.left));
      file.left -= Math.min(file.left, part.length);
      if (this.#left === 0) this.#endFile(file.path, file.size, file.holes);
    }
    this.#push(part);
  }

  #push(part: Buffer): void {
    this.#out.push(part);
    this.bytes += part.length;
  }

  #endFile(path: string, size: number, finder: HoleFinder): void {
    this.#file = undefined;
    const extents = finder.end();
    const getsHoles = hasHoles(size, extents) && this.withHoles < MAX_FILES_WITH_HOLES;
    if (getsHoles) this.withHoles++;
    const takes = getsHoles ? bytesOf(extents) : Math.ceil(size / HOLE_BLOCK_BYTES) * HOLE_BLOCK_BYTES;
    this.allocated += takes;
    const waste = takes - finder.dataBytes;
    if (waste === 0 || this.#wastefulBytes > PATHS_KEPT_BYTES) return;
    this.wasteful.push({ path, waste });
    this.#wastefulBytes += path.length;
  }

  #judge({ path, size, hardLinkTo, isFolder }: TarEntry): string | undefined {
    const left = this.#limits.leaveOut.get(pathKey(path));
    if (left !== undefined) return left;
    if (path.length > MAX_PATH_BYTES) return `its path is longer than ${MAX_PATH_BYTES} bytes`;
    if (hardLinkTo && !this.#written.has(hashOf(hardLinkTo))) return 'it is a link to a file that is left out';
    const depth = depthOf(path);
    if (depth > MAX_DEPTH) return `it is deeper than ${MAX_DEPTH} folders`;
    const work = depth * (1 + depth / FLAT_DEPTH) * (isFolder ? FOLDER_TIMES : 1);
    if (this.#work + work > (depth > FLAT_DEPTH ? MAX_DEEP_WORK : MAX_WORK))
      return 'it is one of too many files in deep folders';
    this.#work += work;
    if (this.files + this.folders >= MAX_ENTRIES) return `a save has ${MAX_ENTRIES} files and folders at most`;
    const { maxBytes, tooLarge } = this.#limits;
    if (tooLarge === 'skip' && this.bytes + size + MOST_HEADERS_BYTES > maxBytes) {
      return 'the save is full, holes counted as zeros';
    }
    return undefined;
  }
}

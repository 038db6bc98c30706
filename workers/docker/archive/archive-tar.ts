/** A tar as it streams by: counted, checked to be whole, or with its folders made writable. Nothing is unpacked. Docker thread. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';

const TAR_BLOCK_BYTES = 512;
/** What a `long name` or pax header may have; a path has 4,096 at most. The tar comes from a sandbox, and this is kept in memory. */
const MAX_ABOUT_BYTES = 65_536;
const WRITABLE = 0o700;
const SET_ID = 0o6000;

/** After so many bytes the event loop turns: what compresses well would otherwise pass in megabytes without a pause. */
const TURN_BYTES = 262_144;

interface TarEntry {
  /** As bytes: a name need not be UTF-8. */
  path: Buffer;
  isFolder: boolean;
  /** The workspace itself. */
  isRoot: boolean;
  mode: number;
}

/** `entry` goes with the header block of each; what stands before it (its long name) and after it (its content) comes without. */
type OnPart = (part: Buffer, entry: TarEntry | undefined, isAbout: boolean) => void;

/** Reads ustar, GNU (what busybox writes too) and pax. Strict: what it does not understand is a problem, not a guess. */
class TarReader {
  /** Why this is no whole tar. */
  problem: string | undefined = 'it is empty';
  readonly #onPart: OnPart;
  readonly #header = Buffer.alloc(TAR_BLOCK_BYTES);
  #headerBytes = 0;
  /** Of the entry's content, with its padding. */
  #left = 0;
  #about: { type: string; size: number; parts: Buffer[] } | undefined;
  #longPath: Buffer | undefined;
  #zeroBlocks = 0;
  #broken = false;

  constructor(onPart: OnPart) {
    this.#onPart = onPart;
  }

  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      if (this.#left > 0) {
        const part = chunk.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        this.#about?.parts.push(part);
        this.#onPart(part, undefined, this.#about !== undefined);
        if (this.#left === 0 && this.#about) this.#endAbout(this.#about);
        continue;
      }
      const taken = chunk.copy(this.#header, this.#headerBytes, at, at + TAR_BLOCK_BYTES - this.#headerBytes);
      at += taken;
      this.#headerBytes += taken;
      if (this.#headerBytes < TAR_BLOCK_BYTES) return;
      this.#headerBytes = 0;
      this.#readHeader(Buffer.from(this.#header));
    }
  }

  #readHeader(block: Buffer): void {
    if (this.#zeroBlocks >= 2) return this.#onPart(block, undefined, false); // padding
    if (block.every((byte) => byte === 0)) {
      this.#zeroBlocks++;
      if (this.#zeroBlocks === 2) this.problem = undefined;
      return this.#onPart(block, undefined, false);
    }
    this.problem = 'its end is missing';
    if (this.#zeroBlocks > 0) return this.#fail('an entry stands behind its end');
    if (checksumOf(block) !== octal(block, 148, 8)) return this.#fail('a header has the wrong checksum');
    const size = octal(block, 124, 12);
    if (size === undefined) return this.#fail('a size cannot be read');
    this.#left = Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    const type = block[156] === 0 ? '0' : String.fromCharCode(block[156] ?? 0);
    if ('LKxg'.includes(type)) {
      if (size > MAX_ABOUT_BYTES || size === 0) return this.#fail(`a header of type ${type} has ${size} bytes`);
      this.#about = { type, size, parts: [] };
      return this.#onPart(block, undefined, true);
    }
    if (!'01234567'.includes(type)) return this.#fail(`it has an entry of type ${JSON.stringify(type)}`);
    if (!'017'.includes(type) && size > 0) return this.#fail(`an entry of type ${type} has content`);
    const path = this.#longPath ?? shortPath(block);
    this.#longPath = undefined;
    const isFolder = type === '5' || (type === '0' && path.at(-1) === 0x2f);
    const isRoot = isFolder && /^\.?\/?$/.test(path.toString('latin1'));
    this.#onPart(block, { path, isFolder, isRoot, mode: (octal(block, 100, 8) ?? 0) & 0o7777 }, false);
  }

  #endAbout({ type, size, parts }: { type: string; size: number; parts: Buffer[] }): void {
    this.#about = undefined;
    const content = Buffer.concat(parts).subarray(0, size);
    if (type === 'L') this.#longPath = untilZero(content);
    if (type === 'x') this.#longPath = paxPath(content) ?? this.#longPath;
  }

  #fail(problem: string): void {
    this.#broken = true;
    this.problem = problem;
  }
}

/** Counts while the bytes pass on unchanged. */
export class TarCounter {
  bytes = 0;
  /** What is no folder: links, too. */
  files = 0;
  /** Without the workspace itself. */
  folders = 0;
  readonly #reader = new TarReader((_part, entry) => {
    if (!entry || entry.isRoot) return;
    if (entry.isFolder) this.folders++;
    else this.files++;
  });

  /** Why it is no whole tar; known when all of it has passed. */
  get problem(): string | undefined {
    return this.#reader.problem;
  }

  async *pass(source: AsyncIterable<Buffer>, maxBytes: number, tooLarge: () => Error): AsyncGenerator<Buffer> {
    for await (const chunk of inTurns(source)) {
      this.bytes += chunk.length;
      if (this.bytes > maxBytes) throw tooLarge();
      this.#reader.write(chunk);
      yield chunk;
    }
  }
}

/**
 * The tar with each folder writable by its owner, else busybox could put nothing into a folder of mode 0555.
 * `modes` gathers what has to be set right afterwards: those folders', and set-id bits, which busybox leaves out.
 */
export async function* withOpenFolders(source: AsyncIterable<Buffer>, modes: Set<number>): AsyncGenerator<Buffer> {
  yield* rewrite(source, (part, entry) => {
    if (entry && needsChmod(entry)) {
      modes.add(entry.mode);
      if (entry.isFolder) setMode(part, entry.mode | WRITABLE);
    }
    return part;
  });
}

/** With zeros up to a whole number of pieces. */
export async function* inPieces(source: AsyncIterable<Buffer>, pieceBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    yield chunk;
  }
  const rest = bytes % pieceBytes;
  if (rest > 0) yield Buffer.alloc(pieceBytes - rest);
}

/** Only the folders, as they were: unpacked after the rest, for times that the unpacking of their files has changed. */
export async function* foldersOnly(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let about: Buffer[] = [];
  yield* rewrite(source, (part, entry, isAbout) => {
    if (isAbout) about.push(part);
    if (!entry) return undefined;
    const kept = entry.isFolder ? Buffer.concat([...about, part]) : undefined;
    about = [];
    return kept;
  });
  yield Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

/** Paths, each closed by a zero byte, of what needs this mode set. */
export async function* pathsOfMode(source: AsyncIterable<Buffer>, mode: number): AsyncGenerator<Buffer> {
  yield* rewrite(source, (_part, entry) =>
    entry && entry.mode === mode && needsChmod(entry)
      ? Buffer.concat([Buffer.from('./'), entry.path, Buffer.from([0])])
      : undefined,
  );
}

async function* rewrite(
  source: AsyncIterable<Buffer>,
  change: (...part: Parameters<OnPart>) => Buffer | undefined,
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  const reader = new TarReader((...part) => {
    const changed = change(...part);
    if (changed) parts.push(changed);
  });
  for await (const chunk of inTurns(source)) {
    reader.write(chunk);
    if (parts.length > 0) yield Buffer.concat(parts);
    parts = [];
  }
  if (reader.problem !== undefined) throw new FairleadError('ERR_INTERNAL', `an archive’s tar: ${reader.problem}`);
}

async function* inTurns(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    bytes += chunk.length;
    if (bytes < TURN_BYTES) continue;
    bytes = 0;
    await nextTurn();
  }
}

function needsChmod({ isFolder, mode }: TarEntry): boolean {
  return (isFolder && (mode & WRITABLE) !== WRITABLE) || (mode & SET_ID) !== 0;
}

function setMode(header: Buffer, mode: number): void {
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  header.write(`${checksumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/** The checksum counts its own field as spaces. */
function checksumOf(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) if (at < 148 || at >= 156) sum += header[at] ?? 0;
  return sum;
}

function octal(header: Buffer, at: number, length: number): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(header.toString('latin1', at, at + length))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function shortPath(header: Buffer): Buffer {
  const name = untilZero(header.subarray(0, 100));
  // GNU's own format keeps other things where ustar has the prefix.
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? untilZero(header.subarray(345, 500)) : undefined;
  return prefix?.length ? Buffer.concat([prefix, Buffer.from('/'), name]) : name;
}

function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Records of `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxPath(records: Buffer): Buffer | undefined {
  let path: Buffer | undefined;
  for (let at = 0; at < records.length;) {
    const space = records.indexOf(0x20, at);
    const length = Number.parseInt(records.toString('latin1', at, Math.max(at, space)), 10);
    if (!(length > 0)) return path;
    const record = records.subarray(space + 1, at + length - 1);
    if (record.toString('latin1', 0, 5) === 'path=') path = Buffer.from(record.subarray(5));
    at += length;
  }
  return path;
}

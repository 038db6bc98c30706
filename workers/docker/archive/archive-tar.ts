/**
 * Checks, counts and rewrites a tar as it streams through, without unpacking it. Docker thread.
 *
 * Not tar-stream: its reader accepts a tar without its end (a save that was cut would replace a good archive), decodes pax
 * paths as UTF-8 (other names change) and hides header bytes, which the rewriting keeps; its writer makes new headers.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';

const TAR_BLOCK_BYTES = 512;
/** Limit of a long name or pax header, which is kept in memory: the tar comes from a sandbox. A path has at most 4,096 bytes. */
const MAX_EXTENSION_BYTES = 65_536;
const OWNER_RWX = 0o700;
const SET_ID = 0o6000;

/** The event loop runs after this many bytes: a tar that compresses well would pass in megabytes without a pause. */
const YIELD_BYTES = 262_144;

interface TarEntry {
  /** Bytes, since a name need not be UTF-8. */
  path: Buffer;
  isFolder: boolean;
  /** It is the workspace itself. */
  isRoot: boolean;
  mode: number;
}

/** `entry` comes with its header block. Its extension headers (before) and its content (after) come without. */
type OnPart = (part: Buffer, entry: TarEntry | undefined, isExtension: boolean) => void;

/** Reads ustar, GNU (as busybox writes) and pax. Strict: everything that it does not know is a problem. */
class TarReader {
  /** Why this is not a complete tar. */
  problem: string | undefined = 'it is empty';
  readonly #onPart: OnPart;
  readonly #header = Buffer.alloc(TAR_BLOCK_BYTES);
  #headerBytes = 0;
  /** Bytes left of an entry's content and padding. */
  #left = 0;
  #extension: { type: string; size: number; parts: Buffer[] } | undefined;
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
        this.#extension?.parts.push(part);
        this.#onPart(part, undefined, this.#extension !== undefined);
        if (this.#left === 0 && this.#extension) this.#endExtension(this.#extension);
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
    if (this.#zeroBlocks > 0) return this.#fail('an entry follows its end');
    if (checksumOf(block) !== octal(block, 148, 8)) return this.#fail('a header has the wrong checksum');
    const size = octal(block, 124, 12);
    if (size === undefined) return this.#fail('a size cannot be read');
    this.#left = Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    const type = block[156] === 0 ? '0' : String.fromCharCode(block[156] ?? 0);
    if ('LKxg'.includes(type)) {
      if (size > MAX_EXTENSION_BYTES || size === 0) return this.#fail(`a header of type ${type} has ${size} bytes`);
      this.#extension = { type, size, parts: [] };
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

  #endExtension({ type, size, parts }: { type: string; size: number; parts: Buffer[] }): void {
    this.#extension = undefined;
    const content = Buffer.concat(parts).subarray(0, size);
    if (type === 'L') this.#longPath = untilZero(content);
    if (type === 'x') this.#longPath = paxPath(content) ?? this.#longPath;
  }

  #fail(problem: string): void {
    this.#broken = true;
    this.problem = problem;
  }
}

/** Counts entries while the bytes pass unchanged. */
export class TarCounter {
  bytes = 0;
  /** Everything but folders, links included. */
  files = 0;
  /** Not counting the workspace itself. */
  folders = 0;
  readonly #reader = new TarReader((_part, entry) => {
    if (!entry || entry.isRoot) return;
    if (entry.isFolder) this.folders++;
    else this.files++;
  });

  /** Why it is not a complete tar; final when all of it has passed. */
  get problem(): string | undefined {
    return this.#reader.problem;
  }

  async *pass(source: AsyncIterable<Buffer>, maxBytes: number, tooLarge: () => Error): AsyncGenerator<Buffer> {
    for await (const chunk of yielding(source)) {
      this.bytes += chunk.length;
      if (this.bytes > maxBytes) throw tooLarge();
      this.#reader.write(chunk);
      yield chunk;
    }
  }
}

/**
 * Makes each folder writable for its owner: busybox cannot unpack into a folder of mode 0555. `modes` collects the modes to
 * set afterwards, those of such folders and those with set-id bits, which busybox drops.
 */
export async function* withOpenFolders(source: AsyncIterable<Buffer>, modes: Set<number>): AsyncGenerator<Buffer> {
  yield* rewrite(source, (part, entry) => {
    if (entry && needsChmod(entry)) {
      modes.add(entry.mode);
      if (entry.isFolder) setMode(part, entry.mode | OWNER_RWX);
    }
    return part;
  });
}

/** Pads with zeros to a whole number of pieces. */
export async function* inPieces(source: AsyncIterable<Buffer>, pieceBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    yield chunk;
  }
  const rest = bytes % pieceBytes;
  if (rest > 0) yield Buffer.alloc(pieceBytes - rest);
}

/** Only the folders, unchanged: unpacked last, they set the times that unpacking their files has changed. */
export async function* foldersOnly(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let extensions: Buffer[] = [];
  yield* rewrite(source, (part, entry, isExtension) => {
    if (isExtension) extensions.push(part);
    if (!entry) return undefined;
    const kept = entry.isFolder ? Buffer.concat([...extensions, part]) : undefined;
    extensions = [];
    return kept;
  });
  yield Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

/** The paths, each with a zero byte at its end, whose mode has to be set to `mode`. */
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
  for await (const chunk of yielding(source)) {
    reader.write(chunk);
    if (parts.length > 0) yield Buffer.concat(parts);
    parts = [];
  }
  if (reader.problem !== undefined) throw new FairleadError('ERR_INTERNAL', `an archive’s tar: ${reader.problem}`);
}

async function* yielding(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    bytes += chunk.length;
    if (bytes < YIELD_BYTES) continue;
    bytes = 0;
    await yieldToEventLoop();
  }
}

function needsChmod({ isFolder, mode }: TarEntry): boolean {
  return (isFolder && (mode & OWNER_RWX) !== OWNER_RWX) || (mode & SET_ID) !== 0;
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
  // GNU's own format uses the prefix field for other things.
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? untilZero(header.subarray(345, 500)) : undefined;
  return prefix?.length ? Buffer.concat([prefix, Buffer.from('/'), name]) : name;
}

function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Records are `LENGTH KEY=VALUE\n`; the length includes its own digits. */
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

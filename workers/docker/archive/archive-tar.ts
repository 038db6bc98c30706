/**
 * Checks, counts and rewrites a tar as it streams through, without unpacking it. Docker thread.
 *
 * Not tar-stream: its reader accepts a tar without its end (a save that was cut would replace a good archive), decodes pax
 * paths as UTF-8 (other names change) and hides header bytes, which the rewriting keeps; its writer makes new headers.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';

export const TAR_BLOCK_BYTES = 512;
/** Limit of a long name or pax header, which is kept in memory: the tar comes from a sandbox. A path has at most 4,096 bytes. */
const MAX_EXTENSION_BYTES = 65_536;

/** The event loop runs after this many bytes: a tar that compresses well would pass in megabytes without a pause. */
const YIELD_BYTES = 262_144;

export interface TarEntry {
  /** Bytes, since a name need not be UTF-8. */
  path: Buffer;
  isFolder: boolean;
  isFile: boolean;
  isSymlink: boolean;
  /** It is the workspace itself. */
  isRoot: boolean;
  mode: number;
  /** Bytes of content that follow, without padding. */
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  /** Of a hard link: the path of the entry whose file it names too. */
  hardLinkTo: Buffer | undefined;
  /** Of a symbolic link: where it leads, as it stands there. */
  linkTo: Buffer | undefined;
}

/** `entry` comes with its header block. Its extension headers (before) and its content (after) come without. */
export type OnPart = (part: Buffer, entry: TarEntry | undefined, isExtension: boolean) => void;

/** Reads ustar, GNU (as busybox writes) and pax. Strict: everything that it does not know is a problem. */
export class TarReader {
  /** Why this is not a complete tar. */
  problem: string | undefined = 'it is empty';
  readonly #onPart: OnPart;
  readonly #header = Buffer.alloc(TAR_BLOCK_BYTES);
  #headerBytes = 0;
  /** Bytes left of an entry's content and padding. */
  #left = 0;
  #extension: { type: string; size: number; parts: Buffer[] } | undefined;
  #longPath: Buffer | undefined;
  #longLink: Buffer | undefined;
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
    const hardLinkTo = type === '1' ? (this.#longLink ?? untilZero(block.subarray(157, 257))) : undefined;
    const linkTo = type === '2' ? (this.#longLink ?? untilZero(block.subarray(157, 257))) : undefined;
    this.#longPath = this.#longLink = undefined;
    const isFolder = type === '5' || (type === '0' && path.at(-1) === 0x2f);
    const isFile = type === '0' && !isFolder;
    const isSymlink = type === '2';
    const isRoot = isFolder && /^\.?\/?$/.test(path.toString('latin1'));
    const mode = (octal(block, 100, 8) ?? 0) & 0o7777;
    const mtime = octal(block, 136, 12) ?? 0;
    this.#onPart(block, { path, isFolder, isFile, isSymlink, isRoot, mode, size, mtime, hardLinkTo, linkTo }, false);
  }

  #endExtension({ type, size, parts }: { type: string; size: number; parts: Buffer[] }): void {
    this.#extension = undefined;
    const content = Buffer.concat(parts).subarray(0, size);
    if (type === 'L') this.#longPath = untilZero(content);
    if (type === 'K') this.#longLink = untilZero(content);
    if (type !== 'x') return;
    this.#longPath = paxValue(content, 'path') ?? this.#longPath;
    this.#longLink = paxValue(content, 'linkpath') ?? this.#longLink;
  }

  #fail(problem: string): void {
    this.#broken = true;
    this.problem = problem;
  }
}

export async function* rewrite(
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

export async function* yielding(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    bytes += chunk.length;
    if (bytes < YIELD_BYTES) continue;
    bytes = 0;
    await yieldToEventLoop();
  }
}

export function setMode(header: Buffer, mode: number): void {
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  setChecksum(header);
}

/** An entry without content. */
export function setEmpty(header: Buffer): void {
  header.write(`${'0'.repeat(11)}\0`, 124, 'latin1');
  setChecksum(header);
}

function setChecksum(header: Buffer): void {
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
function paxValue(records: Buffer, key: string): Buffer | undefined {
  let value: Buffer | undefined;
  for (let at = 0; at < records.length;) {
    const space = records.indexOf(0x20, at);
    const length = Number.parseInt(records.toString('latin1', at, Math.max(at, space)), 10);
    if (!(length > 0)) return value;
    const record = records.subarray(space + 1, at + length - 1);
    const start = `${key}=`;
    if (record.toString('latin1', 0, start.length) === start) value = Buffer.from(record.subarray(start.length));
    at += length;
  }
  return value;
}

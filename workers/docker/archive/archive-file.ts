/** An archive on disk: a tar as an lz4 frame that `lz4 -d` reads, with metadata and a checksummed trailer. Docker thread. */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { Transform } from 'node:stream';
import lz4 from 'lz4';
import { z } from 'zod';
import type { SavedWorkspace } from '../contract/messages.js';

/**
 * Metadata and trailer are lz4 skippable frames, which lz4 tools ignore. All numbers are little-endian. The metadata is
 * 0x184D2A5E, the length of what follows, and JSON (`metadataShape`); an archive of 0.2.0 has none. The trailer:
 *
 *     byte 0–3    0x184D2A5F
 *     byte 4–7    length of what follows, 60
 *     byte 8–11   "FLA2"; "FLA1" without metadata
 *     byte 12–19  length of the lz4 frame at the start
 *     byte 20–27  length of the tar
 *     byte 28–31  files
 *     byte 32–35  folders
 *     byte 36–67  SHA-256 of the file up to here
 *
 * The frame's own checksum is not enough: the lz4 package accepts a file that was cut between two blocks, and throws in the
 * middle of a stream on some damage. Its frame decoder also unpacks a whole chunk of input at once, megabytes if it is
 * zeros. So blocks are unpacked one by one, and only after the whole file was verified.
 */
const TRAILER_BYTES = 68;
const DIGEST_BYTES = 32;
const SKIPPABLE = 0x18_4d_2a_5f;
const METADATA = 0x18_4d_2a_5e;
const METADATA_HEADER_BYTES = 8;
const MAX_METADATA_BYTES = 262_144;
const MARK = 'FLA2';
const MARK_WITHOUT_METADATA = 'FLA1';
/** One block is packed or unpacked synchronously, so it is small. */
const LZ4_BLOCK_BYTES = 65_536;
const FRAME_HEADER_BYTES = 7;
const STORED = 0x80_00_00_00;
const READ_BYTES = 262_144;

export interface ArchiveInfo extends SavedWorkspace {
  tarBytes: number;
  folders: number;
  /** Files that get back holes; undefined: not known. */
  withHoles?: number | undefined;
}

const metadataShape = z.object({
  savedAt: z.number(),
  withHoles: z.number().optional(),
  skipped: z.object({ count: z.number(), paths: z.array(z.object({ path: z.string(), reason: z.string() })) }),
});

/** The file is damaged: it is not what was written. */
export class BrokenArchive extends Error {}

export function compressor(): Transform {
  return lz4.createEncoderStream({ blockMaxSize: LZ4_BLOCK_BYTES, streamChecksum: true });
}

/** Writes compressed bytes, then the trailer; `finish` resolves when all is synced to disk. */
export class ArchiveWriter {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #bytes = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async create(path: string): Promise<ArchiveWriter> {
    return new ArchiveWriter(await open(path, 'w', 0o600));
  }

  async write(source: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of source) await this.#write(chunk);
  }

  /** Writes metadata and trailer, and syncs. Resolves with the bytes on disk. */
  async finish({ tarBytes, files, folders, withHoles, savedAt, skipped }: ArchiveInfo): Promise<number> {
    const frameBytes = this.#bytes;
    const json = Buffer.from(JSON.stringify({ savedAt, withHoles, skipped } satisfies z.infer<typeof metadataShape>));
    const header = Buffer.alloc(METADATA_HEADER_BYTES);
    header.writeUInt32LE(METADATA, 0);
    header.writeUInt32LE(json.length, 4);
    await this.#write(Buffer.concat([header, json]));
    const trailer = Buffer.alloc(TRAILER_BYTES - DIGEST_BYTES);
    trailer.writeUInt32LE(SKIPPABLE, 0);
    trailer.writeUInt32LE(TRAILER_BYTES - 8, 4);
    trailer.write(MARK, 8, 'latin1');
    trailer.writeBigUInt64LE(BigInt(frameBytes), 12);
    trailer.writeBigUInt64LE(BigInt(tarBytes), 20);
    trailer.writeUInt32LE(files, 28);
    trailer.writeUInt32LE(folders, 32);
    await this.#write(trailer);
    await this.#write(this.#hash.copy().digest());
    await this.#handle.sync();
    return this.#bytes;
  }

  async #write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
    for (let at = 0; at < chunk.length;) at += (await this.#handle.write(chunk, at)).bytesWritten;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

export class ArchiveReader {
  readonly info: ArchiveInfo;
  readonly #handle: FileHandle;
  readonly #frameBytes: number;

  private constructor(handle: FileHandle, frameBytes: number, info: ArchiveInfo) {
    this.#handle = handle;
    this.#frameBytes = frameBytes;
    this.info = info;
  }

  /** What the archive says about itself, unverified: two reads. BrokenArchive, or an error of the disk. */
  static async peek(path: string): Promise<ArchiveInfo> {
    const handle = await open(path, 'r');
    try {
      return (await readEnd(handle)).info;
    } finally {
      await handle.close();
    }
  }

  /** Verifies the whole file first, so that nothing is restored from a damaged one. BrokenArchive, or an error of the disk. */
  static async open(path: string, signal: AbortSignal): Promise<ArchiveReader> {
    const handle = await open(path, 'r');
    try {
      const { size, frameBytes, digest, info } = await readEnd(handle);
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let at = 0; at < size - DIGEST_BYTES;) {
        signal.throwIfAborted();
        const part = buffer.subarray(0, Math.min(READ_BYTES, size - DIGEST_BYTES - at));
        await readFully(handle, part, at);
        hash.update(part);
        at += part.length;
      }
      if (!hash.digest().equals(digest)) throw new BrokenArchive('its checksum is wrong');
      return new ArchiveReader(handle, frameBytes, info);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Yields the tar from its start, in pieces of at most 64 KiB. May be called again. */
  async *tar(): AsyncGenerator<Buffer> {
    for (let at = FRAME_HEADER_BYTES; at < this.#frameBytes;) {
      const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, this.#frameBytes - at));
      await readFully(this.#handle, bytes, at);
      let taken = 0;
      while (taken + 4 <= bytes.length) {
        const word = bytes.readUInt32LE(taken);
        if (word === 0) return;
        const block = bytes.subarray(taken + 4, taken + 4 + (word % STORED));
        if (block.length < word % STORED) break; // the next read starts at this block
        taken += 4 + block.length;
        yield word >= STORED ? block : unpackBlock(block);
      }
      if (taken === 0) throw new BrokenArchive('a block is too long');
      at += taken;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

function unpackBlock(block: Buffer): Buffer {
  const content = Buffer.allocUnsafe(LZ4_BLOCK_BYTES);
  const length = lz4.decodeBlock(block, content);
  if (length < 0) throw new BrokenArchive('a block cannot be unpacked');
  return content.subarray(0, length);
}

interface ArchiveEnd {
  size: number;
  frameBytes: number;
  digest: Buffer;
  info: ArchiveInfo;
}

async function readEnd(handle: FileHandle): Promise<ArchiveEnd> {
  const { size, mtimeMs } = await handle.stat();
  if (size <= TRAILER_BYTES) throw new BrokenArchive(`${size} bytes are too few`);
  const trailer = Buffer.alloc(TRAILER_BYTES);
  await readFully(handle, trailer, size - TRAILER_BYTES);
  const mark = trailer.toString('latin1', 8, 12);
  if (trailer.readUInt32LE(0) !== SKIPPABLE || (mark !== MARK && mark !== MARK_WITHOUT_METADATA)) {
    throw new BrokenArchive('its end is missing');
  }
  const frameBytes = Number(trailer.readBigUInt64LE(12));
  const metadata = Buffer.alloc(Math.min(Math.max(0, size - TRAILER_BYTES - frameBytes), MAX_METADATA_BYTES));
  if (frameBytes + metadata.length + TRAILER_BYTES !== size || (mark === MARK) === (metadata.length === 0)) {
    throw new BrokenArchive('a part of it is missing');
  }
  await readFully(handle, metadata, frameBytes);
  return {
    size,
    frameBytes,
    digest: trailer.subarray(TRAILER_BYTES - DIGEST_BYTES),
    info: {
      tarBytes: Number(trailer.readBigUInt64LE(20)),
      files: trailer.readUInt32LE(28),
      folders: trailer.readUInt32LE(32),
      // 0.2.0 wrote no time into it, and the file's own is that of its save.
      ...(mark === MARK ? parseMetadata(metadata) : { savedAt: Math.round(mtimeMs), skipped: { count: 0, paths: [] } }),
    },
  };
}

function parseMetadata(frame: Buffer): z.infer<typeof metadataShape> {
  try {
    return metadataShape.parse(JSON.parse(frame.toString('utf8', METADATA_HEADER_BYTES)));
  } catch (error) {
    throw new BrokenArchive('its metadata cannot be read', { cause: error });
  }
}

async function readFully(handle: FileHandle, target: Buffer, position: number): Promise<void> {
  for (let at = 0; at < target.length;) {
    const { bytesRead } = await handle.read(target, at, target.length - at, position + at);
    if (bytesRead === 0) throw new BrokenArchive('it shrank while it was read');
    at += bytesRead;
  }
}

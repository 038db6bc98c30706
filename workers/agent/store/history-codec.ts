/** Encodes transcript messages as lz4 blocks with a checksum, and decodes them. Pure; agent threads. */
import { crc32 } from 'node:zlib';
import lz4 from 'lz4';
import { FairleadError } from '../../../src/shared/errors.js';
import type { TranscriptMessage } from './store.js';

/**
 * A block:
 *
 *     byte 0     magic 0xF1
 *     byte 1     format version, 1
 *     byte 2     codec: 0 stored, 1 lz4, 2 lz4 high compression (decoded like 1; marks a sealed block)
 *     byte 3     reserved, 0
 *     byte 4–7   length of the content, u32 LE
 *     byte 8–11  crc32 of bytes 0–7 and the payload, u32 LE
 *     byte 12…   payload; its content is the UTF-8 JSON of an array of messages
 *
 * JSON escapes lone surrogates, so any JavaScript string survives the round trip.
 */
const MAGIC = 0xf1;
const VERSION = 1;
const HEADER_BYTES = 12;
const EMPTY_LIST_BYTES = 2;
const CODEC = { stored: 0, lz4: 1, lz4hc: 2 } as const;

/** Largest content of a block. Without it a damaged header could make us allocate gigabytes. */
export const MAX_CONTENT_BYTES = 64 * 1024 * 1024;

type Codec = keyof typeof CODEC;

/** Encodes the messages as one block, with fast compression. ERR_TOO_LARGE over 64 MiB of JSON. */
export function encodeBlock(messages: readonly TranscriptMessage[]): Buffer {
  return pack(Buffer.from(JSON.stringify(messages), 'utf8'), 'lz4');
}

/** ERR_HISTORY_CORRUPT on any damage: the result is exactly what was encoded. */
export function decodeBlock(block: Buffer): TranscriptMessage[] {
  const content = unpack(block);
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch (error) {
    throw corrupt('the content is not JSON', error);
  }
  if (!Array.isArray(value)) throw corrupt('the content is not a list of messages');
  const bad = value.findIndex((item) => !isMessage(item));
  if (bad >= 0) throw corrupt(`item ${bad} of the content is not a message`);
  return value as TranscriptMessage[];
}

/** The UTF-8 JSON of a block's messages, not parsed. ERR_HISTORY_CORRUPT as `decodeBlock`, but for what only parsing finds. */
export function contentOf(block: Buffer): Buffer {
  const content = unpack(block);
  if (content.length < EMPTY_LIST_BYTES || content[0] !== 0x5b || content.at(-1) !== 0x5d) {
    throw corrupt('the content is not a list of messages');
  }
  return content;
}

/** Merges blocks into one with high compression (about 60 MB/s, so for small blocks), which decodes to the same messages in order. */
export function mergeBlocks(blocks: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const block of blocks) {
    const content = contentOf(block);
    if (content.length === EMPTY_LIST_BYTES) continue;
    // `[a,b]` and `[c]` become `[a,b,c]` without parsing.
    parts.push(Buffer.from(parts.length === 0 ? '[' : ','), content.subarray(1, -1));
  }
  return pack(parts.length === 0 ? Buffer.from('[]') : Buffer.concat([...parts, Buffer.from(']')]), 'lz4hc');
}

/** Length of a block's content, read from its header. */
export function contentBytes(block: Buffer): number {
  if (block.length < HEADER_BYTES) throw corrupt(`${block.length} bytes are too few for a header of ${HEADER_BYTES}`);
  if (block[0] !== MAGIC) throw corrupt(`byte 0 is 0x${hex(block[0])}, not 0x${hex(MAGIC)}: this is no history block`);
  const version = block[1];
  switch (version) {
    case VERSION:
      return block.readUInt32LE(4);
    default:
      throw corrupt(`byte 1 says format version ${version}, this server reads version ${VERSION} only: update it`);
  }
}

function pack(content: Buffer, wanted: Exclude<Codec, 'stored'>): Buffer {
  if (content.length > MAX_CONTENT_BYTES) {
    throw new FairleadError(
      'ERR_TOO_LARGE',
      `${content.length} bytes of messages are over the ${MAX_CONTENT_BYTES} of a block`,
    );
  }
  // The buffer has room for the worst case. The block below is a copy of the right size: a slice would keep all of it alive.
  const room = Buffer.allocUnsafe(HEADER_BYTES + lz4.encodeBound(content.length));
  const target = room.subarray(HEADER_BYTES);
  const written = wanted === 'lz4' ? lz4.encodeBlock(content, target) : lz4.encodeBlockHC(content, target);
  const smaller = written > 0 && written < content.length;
  const block = smaller
    ? Buffer.from(room.subarray(0, HEADER_BYTES + written))
    : Buffer.alloc(HEADER_BYTES + content.length);
  if (!smaller) content.copy(block, HEADER_BYTES);
  block[0] = MAGIC;
  block[1] = VERSION;
  block[2] = CODEC[smaller ? wanted : 'stored'];
  block[3] = 0;
  block.writeUInt32LE(content.length, 4);
  block.writeUInt32LE(checksum(block), 8);
  return block;
}

function unpack(block: Buffer): Buffer {
  const length = contentBytes(block);
  const payload = block.subarray(HEADER_BYTES);
  // The checksum comes first: a flipped bit anywhere is found here, so lz4 decodes only what lz4 has written.
  const found = checksum(block);
  const said = block.readUInt32LE(8);
  if (found !== said)
    throw corrupt(`bytes 8–11 say checksum ${hex(said)}, the ${block.length} bytes have ${hex(found)}`);
  if (length > MAX_CONTENT_BYTES)
    throw corrupt(`bytes 4–7 say ${length} bytes, over the ${MAX_CONTENT_BYTES} of a block`);
  switch (block[2]) {
    case CODEC.stored:
      if (payload.length !== length) throw corrupt(`bytes 4–7 say ${length} bytes, ${payload.length} are stored`);
      return payload;
    case CODEC.lz4:
    case CODEC.lz4hc: {
      // LZ4_decompress_safe stays within both buffers; an empty buffer has no address to pass to it.
      if (length === 0 || payload.length === 0)
        throw corrupt('the codec says compressed, but the content or the payload is empty');
      const content = Buffer.allocUnsafe(length);
      const written = lz4.decodeBlock(payload, content);
      if (written !== length) throw corrupt(`bytes 4–7 say ${length} bytes, lz4 gives ${written}`);
      return content;
    }
    default:
      throw corrupt(`byte 2 says codec ${block[2]}, which version ${VERSION} does not have`);
  }
}

function checksum(block: Buffer): number {
  return crc32(block.subarray(HEADER_BYTES), crc32(block.subarray(0, 8)));
}

function isMessage(value: unknown): value is TranscriptMessage {
  if (value === null || typeof value !== 'object') return false;
  const { role, content } = value as Record<string, unknown>;
  return (role === 'user' || role === 'assistant') && Array.isArray(content);
}

function corrupt(what: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_HISTORY_CORRUPT', `history block: ${what}`, { cause });
}

function hex(value: number | undefined): string {
  return (value ?? 0).toString(16).padStart(2, '0');
}

/** Reads type and size of an image from its first bytes, and judges them by the limits of the model's API. Pure; any thread. */

export type ImageType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

export interface ImageFacts {
  type: ImageType;
  /** Pixels. */
  width: number;
  height: number;
}

/** The API counts the base64 and not the bytes. */
export const MAX_IMAGE_BASE64 = 5 * 1024 * 1024;
export const MAX_IMAGE_SIDE = 8_000;
/** What one request may hold at most, and from how many images on the smaller limit of a side holds for all of them. */
export const MAX_IMAGES = 100;
export const MANY_IMAGES = 20;
export const MAX_SIDE_OF_MANY = 2_000;

/** What is decoded at most: pictures of a 50-megapixel camera. A header may name far more than its few bytes are worth. */
export const MAX_IMAGE_PIXELS = 8_192 * 6_144;

/** Enough for the header of nearly every image. Only a JPEG with a large profile or preview before its size is decoded whole. */
const HEAD_BASE64 = 65_536;

const UNREADABLE = 'is no PNG, JPEG, GIF or WebP that can be read';

export type ImageVerdict = { ok: true; facts: ImageFacts } | { ok: false; why: string };

/** Judges what a person sends, before it is made to fit. `why` completes «the image …». */
export function judgeGivenImage(base64: string): ImageVerdict {
  if (!isBase64(base64)) return { ok: false, why: 'is not valid base64' };
  const facts = readImageFacts(base64);
  if (!facts) return { ok: false, why: UNREADABLE };
  const { width, height } = facts;
  if (width * height > MAX_IMAGE_PIXELS) {
    return { ok: false, why: `has ${width} × ${height} pixels, and ${MAX_IMAGE_PIXELS} in all are read at most` };
  }
  return { ok: true, facts };
}

/** Judges what the model is sent. `why` completes «the image …». */
export function judgeImage(base64: string): ImageVerdict {
  if (base64.length > MAX_IMAGE_BASE64) {
    return { ok: false, why: `has ${base64.length} bytes of base64, and the model takes ${MAX_IMAGE_BASE64} at most` };
  }
  if (!isBase64(base64)) return { ok: false, why: 'is not valid base64' };
  const facts = readImageFacts(base64);
  if (!facts) return { ok: false, why: UNREADABLE };
  const { width, height } = facts;
  if (Math.max(width, height) > MAX_IMAGE_SIDE) {
    return { ok: false, why: `has ${width} × ${height} pixels, and the model takes ${MAX_IMAGE_SIDE} a side at most` };
  }
  return { ok: true, facts };
}

/** Undefined for bytes that are no image of the four types, or whose size cannot be found. */
export function readImageFacts(base64: string): ImageFacts | undefined {
  const head = Buffer.from(base64.slice(0, HEAD_BASE64), 'base64');
  const facts = readFacts(head);
  const isLongJpeg = !facts && base64.length > HEAD_BASE64 && isJpeg(head);
  return isLongJpeg ? readFacts(Buffer.from(base64, 'base64')) : facts;
}

/** One character class, since the text may have megabytes. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function readFacts(bytes: Buffer): ImageFacts | undefined {
  const size = readSize(bytes);
  return size && size.width > 0 && size.height > 0 ? size : undefined;
}

function readSize(bytes: Buffer): ImageFacts | undefined {
  const start = bytes.toString('latin1', 0, 16);
  if (start.startsWith('\x89PNG\r\n\x1A\n') && start.slice(12, 16) === 'IHDR' && bytes.length >= 24) {
    return { type: 'image/png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  }
  if ((start.startsWith('GIF87a') || start.startsWith('GIF89a')) && bytes.length >= 10) {
    return { type: 'image/gif', width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  }
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') return readWebp(bytes);
  return isJpeg(bytes) ? readJpeg(bytes) : undefined;
}

function isJpeg(bytes: Buffer): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/** Walks from segment to segment to the frame header, which has the size. Each step goes forward, so it ends. */
function readJpeg(bytes: Buffer): ImageFacts | undefined {
  let at = 2;
  while (at + 9 <= bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff)
      at++; // a fill byte
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7))
      at += 2; // without a length
    else if (isFrameHeader(marker)) {
      return { type: 'image/jpeg', height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    } else if (marker === 0xd9 || marker === 0xda) return undefined;
    else at += 2 + Math.max(2, bytes.readUInt16BE(at + 2));
  }
  return undefined;
}

/** SOF0 to SOF15; three codes among them mean something else. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** The three kinds of RFC 9649: lossy, lossless and extended. */
function readWebp(bytes: Buffer): ImageFacts | undefined {
  if (bytes.length < 30) return undefined;
  const type = 'image/webp';
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return { type, width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      const bits = bytes.readUInt32LE(21);
      return { type, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { type, width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
    default:
      return undefined;
  }
}

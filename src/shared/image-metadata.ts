/** Finds what a picture says of its making: camera, place, time, the way it was held. Pure; any thread. */
import type { ImageType } from './image-facts.js';

/** EXIF and XMP as cameras write them, and EXIF as ImageMagick puts it into a PNG's texts. */
const JPEG_SEGMENTS = /^(?:Exif\0|http:\/\/ns\.adobe\.com\/|Photoshop 3\.0\0)/;
const PNG_TEXTS = /^(?:XML:com\.adobe\.xmp|Raw profile type)/;

/** True also where the end of it cannot be found. */
export function hasMetadata(bytes: Buffer, type: ImageType): boolean {
  switch (type) {
    case 'image/jpeg':
      return inJpeg(bytes);
    case 'image/png':
      return inPng(bytes);
    case 'image/webp':
      // Two flags of the extended kind; the other kinds have none.
      return bytes.toString('latin1', 12, 16) === 'VP8X' && (bytes[20]! & 0x0c) !== 0;
    case 'image/gif':
      return false;
  }
}

/** The segments before the picture itself. Each step goes forward, so it ends. */
function inJpeg(bytes: Buffer): boolean {
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return true;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) at++;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) at += 2;
    else if (marker === 0xd9 || marker === 0xda) return false;
    else {
      const isApp = marker === 0xe1 || marker === 0xed;
      if (isApp && JPEG_SEGMENTS.test(bytes.toString('latin1', at + 4, at + 40))) return true;
      at += 2 + Math.max(2, bytes.readUInt16BE(at + 2));
    }
  }
  return false;
}

/** All chunks: these may come behind the picture, too. */
function inPng(bytes: Buffer): boolean {
  for (let at = 8; at + 12 <= bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    const kind = bytes.toString('latin1', at + 4, at + 8);
    if (kind === 'eXIf') return true;
    const isText = kind === 'tEXt' || kind === 'zTXt' || kind === 'iTXt';
    if (isText && PNG_TEXTS.test(bytes.toString('latin1', at + 8, at + 40))) return true;
  }
  return false;
}

/** Smallest images of each type and any size: headers alone, which is what the API's limits are read from. Runs in tests. */

export const IMAGE_MAKERS = { png, jpeg, gif, webp } as const;

export function png(width: number, height: number, extraBytes = 0): string {
  const bytes = Buffer.alloc(33 + extraBytes);
  bytes.write('\x89PNG\r\n\x1A\n', 'latin1');
  bytes.writeUInt32BE(13, 8);
  bytes.write('IHDR', 12, 'latin1');
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  return bytes.toString('base64');
}

export function gif(width: number, height: number): string {
  const bytes = Buffer.alloc(13);
  bytes.write('GIF89a', 'latin1');
  bytes.writeUInt16LE(width, 6);
  bytes.writeUInt16LE(height, 8);
  return bytes.toString('base64');
}

/** `profileBytes` stand in segments before the frame header, as a colour profile or a preview does. */
export function jpeg(width: number, height: number, profileBytes = 0): string {
  const segments: Buffer[] = [Buffer.from([0xff, 0xd8])];
  for (let left = profileBytes; left > 0; left -= 60_000) {
    const segment = Buffer.alloc(Math.min(left, 60_000) + 4);
    segment.writeUInt16BE(0xffe2, 0);
    segment.writeUInt16BE(segment.length - 2, 2);
    segments.push(segment);
  }
  const frame = Buffer.alloc(19);
  frame.writeUInt16BE(0xffc0, 0);
  frame.writeUInt16BE(17, 2);
  frame.writeUInt8(8, 4);
  frame.writeUInt16BE(height, 5);
  frame.writeUInt16BE(width, 7);
  frame.writeUInt8(3, 9);
  return Buffer.concat([...segments, frame, Buffer.from([0xff, 0xd9])]).toString('base64');
}

/** The extended kind. */
export function webp(width: number, height: number): string {
  const bytes = Buffer.alloc(32);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(24, 4);
  bytes.write('WEBPVP8X', 8, 'latin1');
  bytes.writeUInt32LE(10, 16);
  bytes.writeUIntLE(width - 1, 24, 3);
  bytes.writeUIntLE(height - 1, 27, 3);
  return bytes.toString('base64');
}

/** A file's bytes by its handle, which stays open: a stream of Node would close it. Command line's process. */
import type { FileHandle } from 'node:fs/promises';

const READ_BYTES = 262_144;

/** From its start, `size` bytes, or up to its end. */
export async function* bytesOf(handle: FileHandle, size = Infinity): AsyncGenerator<Buffer> {
  for (let at = 0; at < size;) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - at));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

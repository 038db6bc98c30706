/** Keeps the beginning and the end of a command's output, and counts the middle. Runs in the sandbox. */
import { characterEnd, characterStart } from './text.js';

/** Bytes kept at each end. */
export const KEPT_END_BYTES = 32_768;

export class HeadTail {
  readonly #limit: number;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  /** A ring buffer; allocated when the head is full, since most commands print little. */
  #tail: Buffer | undefined;
  #tailBytes = 0;

  constructor(limit: number = KEPT_END_BYTES) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#headBytes + this.#tailBytes;
  }

  push(chunk: Buffer): void {
    const room = this.#limit - this.#headBytes;
    if (room > 0) {
      // Copied: a slice of eight bytes would keep its whole 64 KiB chunk in memory.
      this.#head.push(Buffer.from(chunk.subarray(0, room)));
      this.#headBytes += Math.min(room, chunk.length);
    }
    if (chunk.length > room) this.#pushTail(chunk.subarray(Math.max(0, room)));
  }

  #pushTail(chunk: Buffer): void {
    this.#tail ??= Buffer.allocUnsafe(this.#limit);
    const last = chunk.subarray(-this.#limit);
    const at = (this.#tailBytes + chunk.length - last.length) % this.#limit;
    const upToEdge = last.copy(this.#tail, at);
    last.copy(this.#tail, 0, upToEdge);
    this.#tailBytes += chunk.length;
  }

  /** The text, with a line in place of the omitted middle. Invalid UTF-8 becomes U+FFFD. */
  toText(): { text: string; omittedBytes: number } {
    const head = Buffer.concat(this.#head);
    const tail = this.#tailInOrder();
    const omittedBytes = this.#tailBytes - tail.length;
    if (omittedBytes === 0) return { text: printable(Buffer.concat([head, tail])), omittedBytes };
    // Cuts between characters. The byte after the head is gone, so a torn character is recognised by its lead byte.
    const headEnd = tornCharacter(head);
    const tailStart = characterStart(tail, 0);
    const missing = omittedBytes + (head.length - headEnd) + tailStart;
    const note = `\n[… ${missing} bytes are not shown: to see them, run it with its output in a file, and read that in parts …]\n`;
    return {
      text: printable(head.subarray(0, headEnd)) + note + printable(tail.subarray(tailStart)),
      omittedBytes: missing,
    };
  }

  #tailInOrder(): Buffer {
    if (this.#tail === undefined) return Buffer.alloc(0);
    if (this.#tailBytes <= this.#limit) return this.#tail.subarray(0, this.#tailBytes);
    const edge = this.#tailBytes % this.#limit;
    return Buffer.concat([this.#tail.subarray(edge), this.#tail.subarray(0, edge)]);
  }
}

function tornCharacter(bytes: Buffer): number {
  const lead = characterEnd(bytes, bytes.length - 1);
  const first = bytes[lead] ?? 0;
  const needed = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return bytes.length - lead < needed ? lead : bytes.length;
}

/** Replaces NUL, which is legal JSON but not storable everywhere behind this server. */
export function printable(bytes: Buffer): string {
  return bytes.toString('utf8').replaceAll('\0', '\uFFFD');
}

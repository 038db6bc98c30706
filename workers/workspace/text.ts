/** Tells text from binary data, and cuts UTF-8 between characters. Runs in the sandbox. */
import { ToolFault } from './fault.js';

/** How many leading bytes decide whether a file is binary, as in git. */
export const SNIFF_BYTES = 8192;

/** The largest length ≤ `end` that does not cut a UTF-8 character. */
export function characterEnd(bytes: Uint8Array, end: number): number {
  if (end >= bytes.length) return bytes.length;
  // The byte at the cut is the first one left out. While it is a continuation byte, the cut is inside a character.
  for (let at = end; at > end - 4 && at > 0; at--) {
    if (!isContinuation(bytes[at])) return at;
  }
  return end;
}

/** The smallest index ≥ `start` at which a UTF-8 character begins. */
export function characterStart(bytes: Uint8Array, start: number): number {
  for (let at = start; at < start + 4 && at < bytes.length; at++) {
    if (!isContinuation(bytes[at])) return at;
  }
  return start;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Decodes UTF-8 and keeps a byte order mark. Throws BINARY_FILE or NOT_UTF8. */
export function decodeText(bytes: Uint8Array, shown: string): string {
  if (bytes.length >= 2 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))) {
    throw notUtf8(shown, 'It begins with a UTF-16 byte order mark.');
  }
  if (bytes.includes(0)) {
    throw new ToolFault(
      'BINARY_FILE',
      `${shown} is a binary file (it contains NUL bytes). Use run_command to look into it, e.g. with hexdump or strings.`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw notUtf8(shown, 'It may be Latin-1 or another legacy encoding.');
    throw error;
  }
}

function notUtf8(shown: string, guess: string): ToolFault {
  return new ToolFault(
    'NOT_UTF8',
    `${shown} is not UTF-8 text. ${guess} Convert it with run_command first, e.g. iconv.`,
  );
}

/** Collects what a save leaves out, bounded: the first paths by name, the rest as a number. Docker thread. */
import type { SkippedFiles } from '../contract/messages.js';

/** Not listed: a socket has no content, and means nothing without the program that listens. */
export const SOCKET = 'it is a socket';
const NAMED = 50;
/** Bytes of paths told apart. Beyond them the same path may be counted twice. */
const TOLD_APART_BYTES = 4_194_304;
const PATH_CHARACTERS = 300;

export class SkippedList {
  readonly #seen = new Set<string>();
  readonly #paths: SkippedFiles['paths'] = [];
  #seenBytes = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Relative to the workspace, with or without `./`. The first reason stands. */
  add(path: Buffer, reason: string): void {
    if (reason === SOCKET) return;
    const key = path
      .toString('latin1')
      .replace(/^(\.\/)+/, '')
      .replace(/(?<=.)\/+$/, '');
    if (this.#seen.has(key)) return;
    if (this.#seenBytes < TOLD_APART_BYTES) this.#seen.add(key);
    this.#seenBytes += key.length;
    this.#count++;
    if (this.#paths.length < NAMED) this.#paths.push({ path: readable(Buffer.from(key, 'latin1')), reason });
  }

  result(): SkippedFiles {
    return { count: this.#count, paths: this.#paths };
  }
}

/** Terminals and logs show it: no control characters, no bytes that are no UTF-8, not thousands of characters. */
function readable(path: Buffer): string {
  const text = path.toString('utf8').replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    JSON.stringify(character)
      .slice(1, -1)
      .replace(/^[^\\]$/u, '?'),
  );
  if (text.length <= PATH_CHARACTERS) return text;
  const half = PATH_CHARACTERS / 2;
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** Parses JSON from a client with a limit of its parts, since a megabyte of keys costs fifty times a megabyte of text. Main thread. */

/** Keys, elements and brackets of one frame or body. No message, form or tool call has so many. */
const MAX_PARTS = 10_000;
/** Shorter text cannot have enough parts to matter. */
const SHORT = 4_096;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const BRACKET = 91;
const BRACE = 123;

/** Throws a SyntaxError, for too many parts too. */
export function parseJson(text: string): unknown {
  if (text.length > SHORT && hasTooManyParts(text)) throw new SyntaxError(`it has more than ${MAX_PARTS} parts`);
  return JSON.parse(text);
}

function hasTooManyParts(text: string): boolean {
  let parts = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at + 1);
      if (at < 0) return false; // the string has no end, and JSON.parse will say so
    } else if (code === COMMA || code === COLON || code === BRACKET || code === BRACE) {
      if (++parts > MAX_PARTS) return true;
    }
  }
  return false;
}

/** The index of the closing quote; -1 without one. */
function endOfString(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
  return -1;
}

/** JSON from a client, bounded in parts as well as in bytes: a megabyte of keys costs fifty times a megabyte of text. Main thread. */

/** Keys, elements and brackets of one frame or body: more than any message, form or call of a tool has. */
const MAX_PARTS = 10_000;
/** Text of this length cannot have parts enough to matter. */
const SHORT = 4_096;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const BRACKET = 91;
const BRACE = 123;

/** Throws what JSON.parse does, and an error of its own for too many parts. */
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
      if (at < 0) return false; // it has no end: JSON.parse says so
    } else if (code === COMMA || code === COLON || code === BRACKET || code === BRACE) {
      if (++parts > MAX_PARTS) return true;
    }
  }
  return false;
}

/** Where its closing quote is; -1 without one. */
function endOfString(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
  return -1;
}

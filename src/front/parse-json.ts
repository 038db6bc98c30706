/**
 * Checks JSON from a client before anything parses it. Its parts are limited, since a megabyte of keys costs fifty times a
 * megabyte of text; its depth is limited, since code that walks a value calls itself for each level. Main thread.
 */

/** Keys, elements and brackets of one frame or body. No message, form or tool call has so many. */
const MAX_PARTS = 10_000;
/** Levels of objects and arrays. */
const MAX_DEPTH = 100;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const BRACKET = 91;
const CLOSING_BRACKET = 93;
const BRACE = 123;
const CLOSING_BRACE = 125;

/** Throws a SyntaxError, for too many parts or levels too. */
export function parseJson(text: string): unknown {
  checkJson(text);
  return JSON.parse(text);
}

/** Throws a SyntaxError when the text has too many parts or levels. It does not check the rest of JSON's grammar. */
export function checkJson(text: string): void {
  if (text.length <= MAX_DEPTH) return; // it cannot have more levels than characters
  let parts = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at + 1);
      if (at < 0) return; // the string has no end, and JSON.parse will say so
    } else if (code === BRACKET || code === BRACE) {
      parts++;
      if (++depth > MAX_DEPTH) throw new SyntaxError(`it has more than ${MAX_DEPTH} levels`);
    } else if (code === CLOSING_BRACKET || code === CLOSING_BRACE) {
      depth--;
    } else if (code === COMMA || code === COLON) {
      parts++;
    }
    if (parts > MAX_PARTS) throw new SyntaxError(`it has more than ${MAX_PARTS} parts`);
  }
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

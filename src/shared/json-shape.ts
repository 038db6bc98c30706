/** Counts the parts and the depth of JSON text before it is parsed: a megabyte of keys costs fifty times a megabyte of text. Every thread. */

export interface JsonLimits {
  /** Keys, elements and brackets. */
  parts: number;
  /** Levels of objects and arrays: code that walks a value calls itself for each. */
  depth: number;
}

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const BRACKET = 91;
const BRACKET_END = 93;
const BRACE = 123;
const BRACE_END = 125;

/** Why this text must not be parsed, in words; '' if it may. It need not be JSON. */
export function shapeProblem(text: string, limits: JsonLimits): string {
  if (text.length <= Math.min(limits.parts, limits.depth)) return ''; // it cannot have more levels than characters
  let parts = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at + 1);
        if (at < 0) return ''; // the string has no end, and JSON.parse will say so
        break;
      case BRACKET:
      case BRACE:
        if (++depth > limits.depth) return `it has more than ${limits.depth} levels`;
        if (++parts > limits.parts) return `it has more than ${limits.parts} parts`;
        break;
      case COMMA:
      case COLON:
        if (++parts > limits.parts) return `it has more than ${limits.parts} parts`;
        break;
      case BRACKET_END:
      case BRACE_END:
        depth--;
        break;
    }
  }
  return '';
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

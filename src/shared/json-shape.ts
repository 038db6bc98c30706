/** Counts the parts and the depth of JSON text before it is parsed: a megabyte of keys costs fifty times a megabyte of text. Every thread. */

export interface JsonLimits {
  /** Keys, elements and brackets. */
  parts: number;
  /** Brackets inside brackets: what walks a value recursively needs a stack frame for each. */
  depth: number;
}

/** Shorter text cannot have enough parts to matter. */
const SHORT = 4_096;

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
  if (text.length <= Math.min(SHORT, limits.parts, limits.depth)) return '';
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
        if (++depth > limits.depth) return `it is nested more than ${limits.depth} deep`;
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

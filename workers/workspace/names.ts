/**
 * File names as Linux has them: bytes. A path here has one character for each byte; it is shown as UTF-8, and in quotes with escapes
 * where that would be no text on one line. What is shown can be given back. Runs in the sandbox.
 */
import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';

declare const byteText: unique symbol;
/** Each character stands for a byte. */
export type BytePath = string & { readonly [byteText]: true };

const PLAIN = /^[\u0020-\u007E]*$/;
/** Begins as a quoted name does, or would lose something at its ends. */
const AMBIGUOUS = /^["\s]|\s$/;
/** Control, invisible and separating characters, and spaces that look like the usual one. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const ESCAPES: Readonly<Record<string, string>> = { '\n': 'n', '\r': 'r', '\t': 't', '"': '"', '\\': '\\' };
const UNESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };
const QUOTED = /\\(?:x([\da-f]{2})|u([\da-f]{4})|([0-3][0-7]{2})|(.))|[^\\"]+|./gisu;

export function toBytes(text: string): BytePath {
  return (PLAIN.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')) as BytePath;
}

/** For the file system. */
export function bufferOf(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

export function joinBytes(...parts: BytePath[]): BytePath {
  return join(...parts) as BytePath;
}

/** Undefined when the bytes are no UTF-8. */
export function textOf(path: BytePath): string | undefined {
  if (PLAIN.test(path)) return path;
  const bytes = bufferOf(path);
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

/** Names that a reader takes for the same: composed or not, with whatever spaces, broken bytes as U+FFFD. */
export function looksLike(one: BytePath, other: BytePath): boolean {
  return plainForm(one) === plainForm(other);
}

function plainForm(name: BytePath): string {
  return looseText(name)
    .normalize('NFKC')
    .replaceAll(/[\s\p{Cf}]+/gu, ' ');
}

/** For a glob: broken bytes become U+FFFD. */
export function looseText(path: BytePath): string {
  return textOf(path) ?? bufferOf(path).toString('utf8');
}

/** On one line, each component in quotes where it needs them. */
export function shownPath(path: BytePath): string {
  return PLAIN.test(path) && !path.includes('"') && !path.includes(' ')
    ? path
    : path
        .split('/')
        .map((name) => shownName(name as BytePath))
        .join('/');
}

/** The paths that a shown path may mean, the most likely first; the last one is the path as it stands. */
export function meantPaths(shown: string): BytePath[] {
  const literal = toBytes(shown);
  if (!shown.includes('"')) return [literal];
  const names = shown.split('/');
  const byName = names.map((name) => unquoted(name) ?? toBytes(name)).join('/') as BytePath;
  const whole = unquoted(shown);
  return [...new Set([byName, ...(whole === undefined ? [] : [whole]), literal])];
}

/** The name's escapes without quotes, which bash reads in `$'…'`. */
export function escapedName(name: BytePath): string {
  let text = '';
  const bytes = bufferOf(name);
  for (let at = 0; at < bytes.length;) {
    const character = characterAt(bytes, at);
    text += character === undefined ? byteEscape(bytes[at]!) : escaped(character);
    at += character === undefined ? 1 : Buffer.byteLength(character);
  }
  return text;
}

function shownName(name: BytePath): string {
  const text = textOf(name);
  const isShown = text !== undefined && !AMBIGUOUS.test(text) && !UNSHOWN.test(text);
  return isShown ? text : `"${escapedName(name)}"`;
}

function characterAt(bytes: Buffer, at: number): string | undefined {
  for (let length = 1; length <= 4; length++) {
    const part = bytes.subarray(at, at + length);
    if (part.length === length && isUtf8(part)) return part.toString('utf8');
  }
  return undefined;
}

function escaped(character: string): string {
  const escape = ESCAPES[character];
  if (escape !== undefined) return `\\${escape}`;
  if (!UNSHOWN.test(character)) return character;
  const code = character.codePointAt(0)!;
  if (code > 0xffff) return [...Buffer.from(character)].map(byteEscape).join('');
  return code < 0x80 ? byteEscape(code) : `\\u${code.toString(16).padStart(4, '0')}`;
}

function byteEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** Undefined for what is not quoted as above. */
function unquoted(shown: string): BytePath | undefined {
  if (shown.length < 2 || !shown.startsWith('"') || !shown.endsWith('"')) return undefined;
  let bytes = '';
  for (const [part, hex, unicode, octal, short] of shown.slice(1, -1).matchAll(QUOTED)) {
    if (hex !== undefined) bytes += String.fromCharCode(Number.parseInt(hex, 16));
    else if (unicode !== undefined) bytes += toBytes(String.fromCharCode(Number.parseInt(unicode, 16)));
    else if (octal !== undefined) bytes += String.fromCharCode(Number.parseInt(octal, 8));
    else if (short !== undefined) {
      const character = UNESCAPES[short];
      if (character === undefined) return undefined;
      bytes += character;
    } else if (part === '"' || part === '\\') return undefined;
    else bytes += toBytes(part);
  }
  return bytes as BytePath;
}

/** Turns a text that is nearly right into one that is wrong in a new way: bytes, tokens and structure. Pure. */
import { pick } from '../chaos/random.js';

/** What parsers are known to trip over. */
const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\n',
  '\r\n',
  '\0',
  '\t',
  ' ',
  '\u2028',
  '\uFEFF',
  '\uD800',
  '\uDC00',
  'null',
  'true',
  '-0',
  '1e999',
  '-1e999',
  '9007199254740993',
  '1e-400',
  '0.1',
  '""',
  '[]',
  '{}',
  '{"":',
  '[[',
  '"__proto__":',
  '"constructor":',
  '"toString":',
  '"type":',
  '"id":',
  '"jsonrpc":"2.0"',
  '"method":',
  '"params":',
  '\\u0000',
  '\\ud800',
  '\\x',
  '../',
  '%00',
  '%2e%2e/',
  '%',
  '?',
  '#',
  '://',
  'a'.repeat(300),
  '🧵',
];
const MAX_LENGTH = 65_536;

/** `other`: a second input to splice with. */
export function mutate(text: string, other: string, draw: () => number): string {
  let result = text;
  for (let left = 1 + Math.floor(draw() * 4); left > 0; left--) result = once(result, other, draw);
  return result.slice(0, MAX_LENGTH);
}

function once(text: string, other: string, draw: () => number): string {
  const at = Math.floor(draw() * (text.length + 1));
  const to = Math.min(text.length, at + 1 + Math.floor(draw() ** 3 * 64));
  const token = pick(TOKENS, draw()) ?? '';
  const ways: (() => string)[] = [
    () => text.slice(0, at) + token + text.slice(at),
    () => text.slice(0, at) + token + text.slice(to),
    () => text.slice(0, at) + text.slice(to),
    () => text.slice(0, at),
    () => text.slice(0, to) + text.slice(at),
    () => text.slice(0, at) + String.fromCharCode(Math.floor(draw() * 256)) + text.slice(at + 1),
    () => text.slice(0, at) + text.slice(at, to).repeat(1 + Math.floor(draw() * 200)) + text.slice(to),
    () => text.slice(0, at) + other.slice(Math.floor(draw() * other.length)),
    () => text.slice(0, at) + '['.repeat(1 + Math.floor(draw() ** 4 * 20_000)) + text.slice(at),
    () => text.slice(0, at) + '{"a":'.repeat(1 + Math.floor(draw() ** 4 * 5_000)) + text.slice(at),
    () => text.replace(/\d+/, String(Math.floor((draw() - 0.5) * 2 ** 40))),
    () => text.replace(/"[^"]*"/, JSON.stringify(token)),
  ];
  return (pick(ways, draw()) ?? (() => text))();
}

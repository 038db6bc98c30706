/** Control characters in foreign text, which a terminal would obey. Pure; every thread. */

// C0 without \t and \n, DEL, C1, and the bidirectional marks (U+202A–202E, U+2066–2069), which reorder text: an approval must show what will run.
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
export const UNSAFE = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g;

/** Keeps \n and \t, writes other control characters as \uXXXX. */
export function escapeControls(text: string): string {
  return text.replaceAll(UNSAFE, codeOf);
}

const MAX_QUOTE = 500;

/** Foreign text as a part of one of our sentences: on one line, of a bounded length, and nothing that a terminal would obey. */
export function quote(text: string, maxLength = MAX_QUOTE): string {
  const line = escapeControls(text.slice(0, maxLength + 1))
    .replaceAll(/\s+/g, ' ')
    .trim();
  return line.length > maxLength ? `${line.slice(0, maxLength).replace(/[\uD800-\uDBFF]$/, '')}…` : line;
}

/** A line of JSON whose strings a terminal may be shown after they are parsed: their control characters stay escaped. */
export function escapeControlsInJson(line: string): string {
  return line
    .replaceAll(/\\(?:\\|b|f|r|u00[01][0-9a-f])/g, (escape) => (escape === '\\\\' ? escape : `\\${escape}`))
    .replaceAll(RAW_UNSAFE, (char) => `\\${codeOf(char)}`);
}

/** The same line of JSON, in characters that no terminal obeys. */
export function escapeRawControls(line: string): string {
  return line.replaceAll(RAW_UNSAFE, codeOf);
}

/** Those that JSON does not escape by itself. */
const RAW_UNSAFE = /[\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g;

function codeOf(char: string): string {
  return String.raw`\u` + char.charCodeAt(0).toString(16).padStart(4, '0');
}

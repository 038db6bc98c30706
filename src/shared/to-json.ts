/** JSON that every client can parse: `JSON.stringify` writes half a surrogate pair as an escape, which strict parsers refuse. Pure. */

const HALF = /\\ud[89a-f]/;
/** Each escape as a whole, so that the text `\ud83d` behind an escaped backslash stays. */
const ESCAPE = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g;

export function toJson(value: unknown): string {
  return withoutHalves(JSON.stringify(value));
}

/**
 * Of JSON that `JSON.stringify` wrote: pairs stand there as they are, so an escaped half is alone. It becomes the escape of U+FFFD, so that no
 * byte moves.
 */
export function withoutHalves(json: string): string {
  return HALF.test(json)
    ? json.replaceAll(ESCAPE, (escape) => (escape.length > 2 ? String.raw`\ufffd` : escape))
    : json;
}

/** Cuts text between characters: half of a surrogate pair makes the model's API refuse a whole request. Pure; any thread. */

/** The first `max` UTF-16 code units at most, never with half a pair at the end. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  const splits = max > 0 && last >= 0xd800 && last <= 0xdbff;
  return text.slice(0, splits ? max - 1 : max);
}

/** Keeps `maxBytes` of the beginning and the end, whole characters; `note` stands on a line between them. */
export function cutMiddle(text: string, maxBytes: number, note: (cutBytes: number) => string): string {
  const bytes = Buffer.from(text);
  const half = Math.max(0, Math.floor(maxBytes / 2));
  const head = bytes
    .subarray(0, half)
    .toString()
    .replace(/\uFFFD$/, '');
  const tail = bytes
    .subarray(bytes.length - half)
    .toString()
    .replace(/^\uFFFD+/, '');
  return `${head}\n${note(bytes.length - 2 * half)}\n${half > 0 ? tail : ''}`;
}

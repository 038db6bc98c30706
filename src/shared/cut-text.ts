/** Cuts text by code points: half of a surrogate pair makes the model's API refuse a whole request. Pure; any thread. */

/** The first `max` UTF-16 code units at most, never with half a pair at the end. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  const splits = max > 0 && last >= 0xd800 && last <= 0xdbff;
  return text.slice(0, splits ? max - 1 : max);
}

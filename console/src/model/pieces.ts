/** Cuts a growing Markdown text where a cut changes nothing: between paragraphs, outside of code. Pure. */

export function pieces(text: string): string[] {
  const found: string[] = [];
  let lines: string[] = [];
  let fence: string | undefined;
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    const isCode = fence !== undefined;
    if (fence === undefined && mark !== undefined) fence = mark;
    else if (fence !== undefined && mark !== undefined && mark.startsWith(fence)) fence = undefined;
    // An indented line may belong to a list above it, so it begins no piece.
    const begins = !isCode && lines.at(-1)?.trim() === '' && /^\S/.test(line) && !/^(?:[-*+]|\d+[.)])\s/.test(line);
    if (begins && lines.length > 0) {
      found.push(lines.join('\n'));
      lines = [];
    }
    lines.push(line);
  }
  if (lines.length > 0) found.push(lines.join('\n'));
  return found;
}
